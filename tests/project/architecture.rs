//! The rules of ARCHITECTURE.md, checked on the sources.
//!
//! A violation is reported with its file and line. Tests inside the sources may use everything.

mod graph;
mod permissions;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use graph::Graph;
use permissions::{FLOORS, MAY_USE, ONLY_IN};
use rules::Violation;
use source::Source;

/// The packages of this repository: the directory of their sources, and their name in `use` paths.
const PACKAGES: &[(&str, &str)] = &[
    ("src/", "latchkey"),
    ("dev/src/", "latchkey_dev"),
    ("dev/bench/src/", "latchkey_bench"),
    ("dev/local/src/", "latchkey_local"),
];

/// The maximum number of files and directories directly in `src`.
const MAX_TOP_NAMES: usize = 12;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn latchkey() -> Vec<Source> {
    Source::read_all(repository(), "src/")
}

/// A package of these files, given by path and text.
fn package(files: &[(&str, &str)]) -> Vec<Source> {
    let files = files.iter();
    files
        .map(|(path, text)| Source::parse(path, "src/", text))
        .collect()
}

fn report(violations: &BTreeSet<Violation>) -> String {
    let lines = violations
        .iter()
        .map(|violation| format!("\n  {violation}"));
    lines.collect()
}

#[test]
fn every_source_keeps_the_rules() {
    let sources = latchkey();
    let violations = rules::check(&sources);
    assert!(violations.is_empty(), "{}", report(&violations));
}

#[test]
fn every_permission_in_the_rules_is_used() {
    let sources = latchkey();
    let unused = rules::unused(&sources);
    assert!(unused.is_empty(), "unused permissions: {unused:?}");
    for place in ONLY_IN.iter().flat_map(|(_, places)| *places) {
        assert!(
            sources.iter().any(|source| source.is_at(place)),
            "ONLY_IN names {place}, which does not exist"
        );
    }
}

#[test]
fn files_have_no_circular_dependencies() {
    for (root, name) in PACKAGES {
        let sources = Source::read_all(repository(), root);
        let sources: Vec<Source> = sources
            .into_iter()
            .filter(|source| !source.is_test())
            .collect();
        let circles = Graph::new(&sources, name).circles();
        assert!(circles.is_empty(), "{circles:#?}");
    }
}

#[test]
fn src_has_few_top_level_names() {
    let names = std::fs::read_dir(repository().join("src")).unwrap().count();
    assert!(
        names <= MAX_TOP_NAMES,
        "src has {names} top-level names; the limit is {MAX_TOP_NAMES}"
    );
}

/// Each piece of code violates one rule. The check must report it on its line.
#[test]
fn each_violation_is_reported_on_its_line() {
    for (path, code, line, rule) in [
        (
            "src/home/token/cache.rs",
            "\nuse crate::home::bridge::Bridge;",
            2,
            "`home::token` may not use `home::bridge`",
        ),
        (
            "src/home/token.rs",
            "fn f() { super::bridge::x() }",
            1,
            "`home::token` may not use `home::bridge`",
        ),
        (
            "src/home/source/ssm.rs",
            "use super::super::home_assistant::Session;",
            1,
            "`home::home_assistant`",
        ),
        (
            "src/home/home_assistant/token_check.rs",
            "fn f() { let x = crate::home::token::f(); }",
            1,
            "`home::token`",
        ),
        (
            "src/home/token.rs",
            "use crate::{base::clock, doors::reply};",
            1,
            "`doors::reply`",
        ),
        (
            "src/home/token.rs",
            "fn f() { assert!(crate::doors::reply::g()) }",
            1,
            "`doors::reply`",
        ),
        (
            "src/base/metrics.rs",
            "pub(crate) use crate::base::config::Config;\nstruct A(Config);",
            1,
            "`base::config`",
        ),
        (
            "src/service/app.rs",
            "use crate::doors::reply::Problem;",
            1,
            "`service` is below `doors`",
        ),
        ("src/base/new.rs", "", 1, "MAY_USE"),
        (
            "src/home/bridge.rs",
            "use aws_sdk_ssm::Client;",
            1,
            "`aws_`",
        ),
        (
            "src/doors/reply.rs",
            "fn f() { let x = \"a\"; lambda_runtime::run() }",
            1,
            "`lambda_runtime`",
        ),
        (
            "src/main.rs",
            "fn f() { std::env::var(\"X\"); }",
            1,
            "`std::env::`",
        ),
        (
            "src/home/token.rs",
            "use std::env;\nfn f() { env::var_os(\"X\"); }",
            2,
            "`env::var`",
        ),
        (
            "src/home/bridge.rs",
            "fn f() { tokio::time::Instant::now(); }",
            1,
            "`Instant::now`",
        ),
        (
            "src/home/bridge.rs",
            "fn f() { token.expose(); }",
            1,
            "`.expose()`",
        ),
        (
            "src/service/app.rs",
            "use std::sync::PoisonError;",
            1,
            "`PoisonError`",
        ),
        (
            "src/service/app.rs",
            "#[path = \"../x.rs\"]\nmod x;",
            1,
            "`#[path`",
        ),
        (
            "src/base/metrics.rs",
            "use crate::doors;\nfn f() { doors::reply::g() }",
            1,
            "whole floor",
        ),
        (
            "src/base/metrics.rs",
            "use crate as root;\nfn f() { root::doors::reply::g() }",
            1,
            "whole floor",
        ),
        ("src/home/token.rs", "use super::*;", 1, "whole floor"),
        ("src/home/token.rs", "use crate::*;", 1, "whole floor"),
        (
            "src/home/token.rs",
            "macro_rules! m { () => { use crate::{doors::reply}; } }",
            1,
            "whole floor",
        ),
        (
            "src/home/token.rs",
            "mod inner { fn f() { super::super::bridge::x() } }",
            1,
            "a module within a file",
        ),
        (
            "src/doors/lambda.rs",
            "use crate::composition::function;",
            1,
            "`composition`",
        ),
        (
            "src/service/access/jwks.rs",
            "fn f() { tokens.map(AccessToken::expose); }",
            1,
            "`AccessToken::expose`",
        ),
        (
            "src/doors/http/commands.rs",
            "async fn f() { app.homes.find(None, None).await; }",
            1,
            "`.homes`",
        ),
        (
            "src/doors/http/commands.rs",
            "fn f() { Permitted::by_invoker(commands); }",
            1,
            "`Permitted::by_invoker`",
        ),
        (
            "src/service/app.rs",
            "#[cfg(test)]\nmod tests {\n}\nfn f() {}",
            4,
            "code after the tests",
        ),
        (
            "src/service/app.rs",
            "struct A;\nimpl A {\n    fn new(a: u8, b: u8, c: u8, d: u8, e: u8) -> Option<Self> { None }\n}",
            3,
            "5 arguments",
        ),
        (
            "src/service/app.rs",
            &format!("// {}", "x".repeat(120)),
            1,
            "123 columns",
        ),
        (
            "src/service/app.rs",
            &"fn f() {}\n".repeat(401),
            401,
            "401 lines",
        ),
    ] {
        let found = rules::check(&package(&[(path, code), ("src/home/bridge.rs", "")]));
        assert!(
            found
                .iter()
                .any(|violation| violation.line == line && violation.rule.contains(rule)),
            "{path}: {code:?} must violate {rule} on line {line}:{}",
            report(&found)
        );
    }
}

#[test]
fn allowed_code_is_not_reported() {
    for (path, code) in [
        (
            "src/home/token.rs",
            "// crate::home::bridge, aws_sdk_ssm, Instant::now",
        ),
        ("src/home/token/cache.rs", "use super::bridge;"),
        (
            "src/home/token.rs",
            "fn f() { let jaws_x = my_crate::bridge; }",
        ),
        (
            "src/home/token.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::home::bridge;\n}\n",
        ),
        ("src/home/token/tests.rs", "use crate::home::bridge;"),
        ("src/base/metrics.rs", "use crate::base::metrics::Unit;"),
        (
            "src/service/app.rs",
            "struct A;\nimpl A {\n    fn f(&self, b: u8, c: u8, d: u8, e: u8, g: u8) -> Option<Self> { None }\n}",
        ),
    ] {
        let found = rules::check(&package(&[(path, code), ("src/home/bridge.rs", "")]));
        assert!(found.is_empty(), "{path}: {code:?}{}", report(&found));
    }
}

#[test]
fn unused_permission_is_reported() {
    let mut sources = latchkey();
    assert!(rules::unused(&sources).is_empty());
    // No other file of `rate_limit` uses the table.
    sources.retain(|source| source.path != "src/service/rate_limit/shared.rs");
    sources.retain(|source| source.path != "src/service/rate_limit.rs");
    let unused = rules::unused(&sources);
    assert!(
        unused.contains(&"`service::rate_limit` may use `base::table`".to_owned()),
        "{unused:?}"
    );
}

#[test]
fn circular_dependencies_are_reported() {
    let sources = package(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;"),
        (
            "src/a.rs",
            "mod inner;\npub use inner::Inner;\npub struct A(crate::b::B);",
        ),
        ("src/a/inner.rs", "pub struct Inner;"),
        ("src/b.rs", "use crate::c::f;\npub struct B;"),
        ("src/c.rs", "pub fn f() { assert!(crate::a::A::is()); }"),
    ]);
    let circle = vec!["src/a.rs", "src/b.rs", "src/c.rs"];
    assert_eq!(Graph::new(&sources, "x").circles(), [circle]);
    for (parent, child) in [
        // The parent and the child use each other's code.
        (
            "mod inner;\npub use inner::Inner;\npub struct A(Inner);",
            "use super::A;\npub struct Inner;",
        ),
        (
            "mod inner;\npub struct A(inner::Inner);",
            "pub struct Inner(super::A);",
        ),
    ] {
        let sources = package(&[("src/a.rs", parent), ("src/a/inner.rs", child)]);
        let circle = vec!["src/a.rs", "src/a/inner.rs"];
        assert_eq!(Graph::new(&sources, "x").circles(), [circle], "{parent}");
    }
}

#[test]
fn reexporting_parent_is_not_a_circular_dependency() {
    let sources = package(&[
        (
            "src/a.rs",
            "mod inner;\nmod other;\npub use inner::Inner;\npub struct A;",
        ),
        ("src/a/inner.rs", "pub struct Inner(super::A);"),
        // The re-export leads to the other child, not to the parent.
        ("src/a/other.rs", "use super::Inner;"),
    ]);
    assert_eq!(Graph::new(&sources, "x").circles(), Vec::<Vec<&str>>::new());
}

#[test]
fn the_rules_name_each_floor_once() {
    for (name, _) in MAY_USE {
        let floor = name.split("::").next().unwrap();
        assert!(FLOORS.contains(&floor), "{name} is on no floor");
    }
}
