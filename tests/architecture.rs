//! Who may know whom, held by reading the sources.
//!
//! A violation is reported with its file and line. Tests inside the sources are not looked at: they may know
//! everything.

#![expect(
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What each module of the crate may know of the others. Data walks one way.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("alexa", &["json"]),
    ("clock", &["lock"]),
    ("lock", &[]),
    ("random", &["lock"]),
    ("json", &[]),
    ("parameter", &[]),
    ("secret", &[]),
    ("table", &[]),
    ("metrics", &["clock", "lock"]),
    ("config", &["parameter"]),
    ("logging", &["config"]),
    ("source", &["clock", "lock", "parameter"]),
    ("trigger", &["json"]),
    ("verdict", &["clock", "random", "secret", "table"]),
    (
        "token",
        &[
            "clock", "config", "lock", "metrics", "random", "secret", "source",
        ],
    ),
    (
        "home_assistant",
        &["clock", "config", "json", "lock", "secret", "source"],
    ),
    (
        "access",
        &[
            "clock",
            "home_assistant",
            "json",
            "lock",
            "metrics",
            "source",
        ],
    ),
    ("rate_limit", &["clock", "config", "lock", "table"]),
    (
        "idempotency",
        &["clock", "home_assistant", "lock", "random", "table"],
    ),
    (
        "commands",
        &["home_assistant", "idempotency", "json", "source"],
    ),
    (
        "bridge",
        &[
            "clock",
            "home_assistant",
            "lock",
            "metrics",
            "random",
            "secret",
            "token",
            "verdict",
        ],
    ),
    (
        "homes",
        &[
            "bridge",
            "clock",
            "config",
            "home_assistant",
            "lock",
            "metrics",
            "parameter",
            "random",
            "source",
            "token",
            "verdict",
        ],
    ),
    (
        "rotation",
        &[
            "bridge",
            "clock",
            "commands",
            "home_assistant",
            "homes",
            "json",
            "lock",
            "metrics",
            "random",
            "secret",
            "source",
            "table",
            "token",
        ],
    ),
    (
        "reply",
        &[
            "access",
            "alexa",
            "bridge",
            "clock",
            "commands",
            "home_assistant",
            "homes",
            "idempotency",
            "json",
            "rotation",
            "source",
            "token",
            "trigger",
        ],
    ),
    (
        "http",
        &[
            "access",
            "app",
            "bridge",
            "clock",
            "commands",
            "config",
            "home_assistant",
            "json",
            "reply",
            "trigger",
        ],
    ),
    (
        "app",
        &[
            "access",
            "alexa",
            "bridge",
            "clock",
            "home_assistant",
            "homes",
            "idempotency",
            "json",
            "lock",
            "metrics",
            "random",
            "rate_limit",
            "reply",
            "rotation",
            "source",
        ],
    ),
    (
        "function",
        &[
            "access", "app", "commands", "config", "http", "json", "reply", "rotation", "trigger",
        ],
    ),
    (
        "composition",
        &[
            "access",
            "app",
            "bridge",
            "clock",
            "config",
            "function",
            "home_assistant",
            "homes",
            "idempotency",
            "metrics",
            "random",
            "rate_limit",
            "rotation",
            "source",
            "table",
            "token",
            "verdict",
        ],
    ),
    ("lambda", &["app", "function"]),
];

/// What only these files, or those below a path with a slash at its end, may name. Names that only begin so are meant
/// too.
const ONLY_IN: &[(&str, &[&str])] = &[
    (
        "aws_",
        &[
            "src/composition.rs",
            "src/metrics/cloudwatch.rs",
            "src/source/ssm.rs",
            "src/source/ssm/",
            "src/table.rs",
        ],
    ),
    (
        "lambda_runtime",
        &[
            "src/app.rs",
            "src/app/",
            "src/bin/",
            "src/function.rs",
            "src/http.rs",
            "src/http/",
            "src/lambda.rs",
            "src/main.rs",
        ],
    ),
    ("lambda_extension", &["src/lambda.rs", "src/main.rs"]),
    ("reqwest", &["src/access/jwks.rs", "src/home_assistant/"]),
    ("tokio_tungstenite", &["src/home_assistant/"]),
    ("std::env::", &["src/config/lookup.rs"]),
    ("env::var", &["src/config/lookup.rs"]),
    ("Instant::now", &["src/clock.rs"]),
    ("SystemTime::now", &["src/clock.rs"]),
    ("fastrand", &["src/random.rs"]),
    ("PoisonError", &["src/lock.rs"]),
    ("rand::rng", &["src/home_assistant/socket.rs"]),
    (
        ".expose()",
        &[
            "src/home_assistant/message.rs",
            "src/home_assistant/rest.rs",
            "src/secret.rs",
        ],
    ),
    (
        "expose_secret",
        &[
            "src/access/keys.rs",
            "src/home_assistant/extras.rs",
            "src/homes/opening.rs",
            "src/secret.rs",
            "src/source/ssm/versions.rs",
            "src/token/reader.rs",
            "src/token/format.rs",
        ],
    ),
];

const MAX_LINES: usize = 400;

struct Source {
    /// Below the package's root, such as `src/token/cache.rs`.
    path: String,
    text: String,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

impl Source {
    fn violation(&self, line: usize, rule: String) -> Violation {
        Violation {
            path: self.path.clone(),
            line,
            rule,
        }
    }

    /// Whether it is this file, or below this directory.
    fn is_at(&self, place: &str) -> bool {
        self.path == place || (place.ends_with('/') && self.path.starts_with(place))
    }

    /// Its module path: `["token", "cache"]`; empty for the roots.
    fn module(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        match path.strip_suffix(".rs").unwrap_or(path) {
            "main" | "lib" | "bin/latchkey" => Vec::new(),
            path => path.split('/').collect(),
        }
    }

    /// How many of its lines come before its tests.
    fn code_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0] == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod tests")
        });
        tests.unwrap_or(lines.len())
    }

    /// Its code before its tests, numbered from 1, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .take(self.code_lines())
            .map(without_comment)
            .zip(1..)
            .map(|(line, number)| (number, line))
    }
}

/// A line up to its comment; the slashes of a URL begin none.
fn without_comment(line: &str) -> &str {
    line.match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'))
        .map_or(line, |(at, _)| &line[..at])
}

/// Where `needle` stands in `line` as a name of its own or at the beginning of one.
fn occurrences<'a>(line: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    line.match_indices(needle)
        .map(|(at, _)| at)
        .filter(move |at| {
            !needle.starts_with(char::is_alphabetic) || !line[..*at].ends_with(is_name)
        })
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn name_at(text: &str) -> &str {
    text.split(|character| !is_name(character))
        .next()
        .unwrap_or_default()
}

/// The top-level modules that a line of `source` names, by `crate::` or by enough `super::`.
fn named<'a>(source: &Source, line: &'a str) -> Vec<&'a str> {
    let from_crate = occurrences(line, "crate::").map(|at| &line[at + "crate::".len()..]);
    let depth = source.module().len();
    let from_super = occurrences(line, "super::").filter_map(move |at| {
        let rest = line[at..].trim_start_matches("super::");
        // Each `super::` of a chain is an occurrence; the first one sees all of them.
        let ups = (line.len() - at - rest.len()) / "super::".len();
        (ups == depth).then_some(rest)
    });
    from_crate.chain(from_super).map(name_at).collect()
}

fn check(sources: &[Source]) -> BTreeSet<Violation> {
    let modules: BTreeSet<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    let mut found = BTreeSet::new();
    for source in sources {
        if source.path.ends_with("/tests.rs") {
            continue;
        }
        let own = source.module().first().copied();
        let known = own.map(|own| MAY_KNOW.iter().find(|(name, _)| *name == own));
        if let Some(None) = known {
            found.insert(source.violation(1, "a module without a place in MAY_KNOW".to_owned()));
        }
        for (number, line) in source.code() {
            if line.contains("crate::{") {
                let rule = "a list of modules; name each in a `use` of its own".to_owned();
                found.insert(source.violation(number, rule));
            }
            if line.trim_start().starts_with("#[path") {
                let rule = "a module from elsewhere, which no rule here sees".to_owned();
                found.insert(source.violation(number, rule));
            }
            if let Some(Some((own, may_know))) = known {
                for other in named(source, line) {
                    if modules.contains(other) && other != *own && !may_know.contains(&other) {
                        let rule = format!("`{own}` may not know `{other}`");
                        found.insert(source.violation(number, rule));
                    }
                }
            }
            for (needle, files) in ONLY_IN {
                let is_one_of_them = files.iter().any(|file| source.is_at(file));
                if !is_one_of_them && occurrences(line, needle).next().is_some() {
                    let rule = format!("`{needle}` belongs to {} alone", files.join(", "));
                    found.insert(source.violation(number, rule));
                }
            }
        }
        let lines = source.code_lines();
        if lines > MAX_LINES {
            let rule = format!("{lines} lines without tests; split near {MAX_LINES}");
            found.insert(source.violation(MAX_LINES + 1, rule));
        }
        // Whatever stood behind the tests would not have been looked at.
        let tests = source.text.lines().skip(lines + 2);
        for (number, line) in (lines + 3..).zip(tests) {
            if !line.is_empty() && !line.starts_with(' ') && line != "}" {
                found.insert(source.violation(number, "code behind the tests".to_owned()));
                break;
            }
        }
    }
    found
}

fn read(directory: &Path, below: &Path, into: &mut Vec<Source>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            read(&path, below, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(Source {
                path: path.strip_prefix(below).unwrap().display().to_string(),
                text: std::fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

/// What modules may know of others, and no file of theirs does.
fn unused(sources: &[Source]) -> Vec<String> {
    let mut allowed: BTreeSet<(&str, &str)> = MAY_KNOW
        .iter()
        .flat_map(|(own, others)| others.iter().map(move |other| (*own, *other)))
        .collect();
    for source in sources {
        if let Some(own) = source.module().first().copied() {
            for (_, line) in source.code() {
                for other in named(source, line) {
                    allowed.remove(&(own, other));
                }
            }
        }
    }
    let unused = allowed.into_iter();
    unused
        .map(|(own, other)| format!("`{own}` may know `{other}`"))
        .collect()
}

fn report(violations: &BTreeSet<Violation>) -> String {
    violations
        .iter()
        .map(|violation| format!("\n  {violation}"))
        .collect()
}

#[test]
fn every_source_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read(&root.join("src"), root, &mut sources);
    let seen: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.module().first().copied())
        .collect();
    for (module, _) in MAY_KNOW {
        assert!(
            seen.contains(module),
            "MAY_KNOW names `{module}`, which is gone"
        );
    }
    for file in ONLY_IN.iter().flat_map(|(_, files)| *files) {
        assert!(
            sources.iter().any(|source| source.is_at(file)),
            "ONLY_IN names {file}, which is gone"
        );
    }
    let unused = unused(&sources);
    assert!(unused.is_empty(), "allowed and not used: {unused:?}");
    let violations = check(&sources);
    assert!(violations.is_empty(), "{}", report(&violations));
}

/// What the rules are worth: each of these must be found, on its line.
#[test]
fn violations_are_found() {
    for (path, code, line, rule) in [
        (
            "src/token/cache.rs",
            "\nuse crate::bridge::Bridge;",
            2,
            "`token` may not know `bridge`",
        ),
        (
            "src/token.rs",
            "fn f() { super::reply::x() }",
            1,
            "`token` may not know `reply`",
        ),
        (
            "src/source/ssm.rs",
            "use super::super::home_assistant::Session;",
            1,
            "`home_assistant`",
        ),
        (
            "src/home_assistant/rest.rs",
            "let x = crate::token::f();",
            1,
            "`token`",
        ),
        (
            "src/secret.rs",
            "use crate::{clock, json};",
            1,
            "a list of modules",
        ),
        (
            "src/metrics.rs",
            "pub(crate) use crate::config::Config;",
            1,
            "`config`",
        ),
        ("src/new.rs", "", 1, "MAY_KNOW"),
        ("src/bridge.rs", "use aws_sdk_ssm::Client;", 1, "`aws_`"),
        (
            "src/reply.rs",
            "let x = \"a\"; lambda_runtime::run()",
            1,
            "`lambda_runtime`",
        ),
        ("src/main.rs", "std::env::var(\"X\")", 1, "`std::env::`"),
        (
            "src/token.rs",
            "use std::env;\nenv::var_os(\"X\")",
            2,
            "`env::var`",
        ),
        (
            "src/bridge.rs",
            "tokio::time::Instant::now()",
            1,
            "`Instant::now`",
        ),
        ("src/bridge.rs", "token.expose()", 1, "`.expose()`"),
        (
            "src/app.rs",
            "#[path = \"../x.rs\"]\nmod x;",
            1,
            "from elsewhere",
        ),
        (
            "src/app.rs",
            "#[cfg(test)]\nmod tests {\n}\nfn f() {}",
            4,
            "behind the tests",
        ),
    ] {
        let source = Source {
            path: path.to_owned(),
            text: code.to_owned(),
        };
        let found = check(&[source]);
        assert!(
            found
                .iter()
                .any(|violation| violation.line == line && violation.rule.contains(rule)),
            "{path}: {code:?} must violate {rule} on line {line}:{}",
            report(&found)
        );
    }
    let long = Source {
        path: "src/app.rs".to_owned(),
        text: "fn f() {}\n".repeat(MAX_LINES + 1),
    };
    assert!(report(&check(&[long])).contains("src/app.rs:401: 401 lines"));
}

#[test]
fn what_only_looks_like_a_violation_is_none() {
    for (path, code) in [
        (
            "src/token.rs",
            "// crate::bridge, aws_sdk_ssm, Instant::now",
        ),
        ("src/token/cache.rs", "use super::bridge;"),
        ("src/token.rs", "let jaws_x = my_crate::bridge;"),
        (
            "src/token.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::bridge;\n}\n",
        ),
        ("src/token/tests.rs", "use crate::bridge;"),
        ("src/metrics.rs", "use crate::metrics::Unit;"),
    ] {
        let source = Source {
            path: path.to_owned(),
            text: code.to_owned(),
        };
        let found = check(&[source]);
        assert!(found.is_empty(), "{path}: {code:?}{}", report(&found));
    }
}
