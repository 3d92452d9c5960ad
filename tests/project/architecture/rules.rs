//! The rules, and the search for what breaks them.

use std::collections::BTreeSet;
use std::fmt;

use super::graph::Graph;
use super::source::Source;

/// The floors, from the lowest. Each may use those before it.
pub(crate) const FLOORS: &[&str] = &["base", "home", "service", "doors"];

/// The modules that each module may use. The roots (`lib.rs`, `composition.rs` and the executables) may use all.
pub(crate) const MAY_USE: &[(&str, &[&str])] = &[
    (
        "base::ambient",
        &["base::clock", "base::metrics", "base::random"],
    ),
    ("base::clock", &["base::lock"]),
    ("base::config", &["base::parameter"]),
    ("base::home_name", &[]),
    ("base::json", &[]),
    ("base::lock", &[]),
    ("base::logging", &["base::config"]),
    ("base::metrics", &["base::clock", "base::lock"]),
    ("base::parameter", &[]),
    ("base::random", &["base::lock"]),
    ("base::secret", &[]),
    ("base::table", &[]),
    (
        "home::bridge",
        &[
            "base::ambient",
            "base::clock",
            "base::lock",
            "base::metrics",
            "base::random",
            "base::secret",
            "home::home_assistant",
            "home::token",
            "home::verdict",
        ],
    ),
    (
        "home::home_assistant",
        &[
            "base::clock",
            "base::config",
            "base::json",
            "base::lock",
            "base::secret",
            "home::source",
        ],
    ),
    (
        "home::homes",
        &[
            "base::ambient",
            "base::clock",
            "base::config",
            "base::home_name",
            "base::lock",
            "base::metrics",
            "base::parameter",
            "base::random",
            "home::bridge",
            "home::home_assistant",
            "home::source",
            "home::token",
            "home::verdict",
        ],
    ),
    (
        "home::source",
        &[
            "base::clock",
            "base::home_name",
            "base::lock",
            "base::parameter",
        ],
    ),
    (
        "home::token",
        &[
            "base::ambient",
            "base::clock",
            "base::config",
            "base::lock",
            "base::metrics",
            "base::secret",
            "home::source",
        ],
    ),
    (
        "home::verdict",
        &["base::clock", "base::random", "base::secret", "base::table"],
    ),
    (
        "service::access",
        &[
            "base::clock",
            "base::home_name",
            "base::json",
            "base::lock",
            "base::metrics",
            "home::home_assistant",
            "home::source",
        ],
    ),
    (
        "service::app",
        &[
            "base::clock",
            "base::home_name",
            "base::json",
            "base::lock",
            "base::metrics",
            "base::random",
            "home::bridge",
            "home::home_assistant",
            "home::homes",
            "service::access",
            "service::commands",
            "service::failure",
            "service::idempotency",
            "service::rate_limit",
            "service::rotation",
        ],
    ),
    (
        "service::commands",
        &[
            "base::home_name",
            "base::json",
            "home::home_assistant",
            "service::failure",
            "service::idempotency",
        ],
    ),
    (
        "service::failure",
        &[
            "base::json",
            "home::bridge",
            "home::home_assistant",
            "home::homes",
            "service::access",
            "service::commands",
            "service::idempotency",
            "service::rotation",
        ],
    ),
    (
        "service::idempotency",
        &[
            "base::clock",
            "base::lock",
            "base::random",
            "base::table",
            "home::home_assistant",
        ],
    ),
    (
        "service::rate_limit",
        &["base::clock", "base::config", "base::lock", "base::table"],
    ),
    (
        "service::rotation",
        &[
            "base::clock",
            "base::home_name",
            "base::json",
            "base::lock",
            "base::metrics",
            "base::random",
            "base::secret",
            "base::table",
            "home::bridge",
            "home::home_assistant",
            "home::homes",
            "home::source",
            "home::token",
            "service::commands",
        ],
    ),
    (
        "doors::alexa",
        &[
            "base::json",
            "doors::reply",
            "home::home_assistant",
            "service::access",
            "service::app",
            "service::failure",
        ],
    ),
    (
        "doors::function",
        &[
            "base::config",
            "base::json",
            "doors::alexa",
            "doors::http",
            "doors::invocation",
            "doors::reply",
            "doors::trigger",
            "home::bridge",
            "service::access",
            "service::app",
            "service::commands",
            "service::failure",
            "service::rotation",
        ],
    ),
    (
        "doors::http",
        &[
            "base::clock",
            "base::config",
            "base::json",
            "doors::invocation",
            "doors::reply",
            "doors::trigger",
            "home::bridge",
            "home::home_assistant",
            "service::access",
            "service::app",
            "service::commands",
            "service::failure",
        ],
    ),
    ("doors::invocation", &["service::app"]),
    ("doors::lambda", &["doors::function", "service::app"]),
    (
        "doors::reply",
        &[
            "base::clock",
            "base::home_name",
            "home::bridge",
            "home::home_assistant",
            "home::homes",
            "home::source",
            "home::token",
            "service::access",
            "service::app",
            "service::commands",
            "service::failure",
            "service::rotation",
        ],
    ),
    ("doors::trigger", &["base::json", "service::failure"]),
];

/// The files that may name something, or the directories, which end with a slash. A name matches at the beginning of a
/// longer one as well.
pub(crate) const ONLY_IN: &[(&str, &[&str])] = &[
    (
        "aws_",
        &[
            "src/base/metrics/cloudwatch.rs",
            "src/base/table.rs",
            "src/composition.rs",
            "src/home/source/ssm.rs",
            "src/home/source/ssm/",
        ],
    ),
    (
        "lambda_runtime",
        &[
            "src/bin/",
            "src/doors/function.rs",
            "src/doors/http.rs",
            "src/doors/http/",
            "src/doors/invocation.rs",
            "src/doors/lambda.rs",
            "src/main.rs",
        ],
    ),
    ("lambda_extension", &["src/doors/lambda.rs", "src/main.rs"]),
    (
        "reqwest",
        &["src/home/home_assistant/", "src/service/access/jwks.rs"],
    ),
    ("tokio_tungstenite", &["src/home/home_assistant/"]),
    ("std::env::", &["src/base/config/lookup.rs"]),
    ("env::var", &["src/base/config/lookup.rs"]),
    ("Instant::now", &["src/base/clock.rs"]),
    ("SystemTime::now", &["src/base/clock.rs"]),
    ("fastrand", &["src/base/random.rs"]),
    ("PoisonError", &["src/base/lock.rs"]),
    ("rand::rng", &["src/home/home_assistant/socket.rs"]),
    (
        ".expose()",
        &[
            "src/base/secret.rs",
            "src/home/home_assistant/message.rs",
            "src/home/home_assistant/token_check.rs",
        ],
    ),
    (
        "expose_secret",
        &[
            "src/base/secret.rs",
            "src/home/home_assistant/extras.rs",
            "src/home/homes/opening.rs",
            "src/home/source/ssm/versions.rs",
            "src/home/token/format.rs",
            "src/home/token/reader.rs",
            "src/service/access/keys.rs",
        ],
    ),
    // A module from elsewhere, which no rule here sees.
    ("#[path", &[]),
];

/// The most lines of a file, tests included.
const MAX_LINES: usize = 400;

/// The most columns of a line.
const MAX_COLUMNS: usize = 120;

/// The most arguments of a constructor.
const MAX_ARGUMENTS: usize = 4;

/// A place where a rule is broken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// The module of a file in `MAY_USE`, such as `home::token`. `None` for the roots.
fn module(source: &Source) -> Option<String> {
    let floor = source.module.first()?;
    let on_a_floor = FLOORS.contains(&floor.as_str()) && source.module.len() > 1;
    on_a_floor.then(|| source.module[..2].join("::"))
}

/// The floor of a module, from 0.
fn floor(module: &str) -> usize {
    let is_its = |floor: &&&str| module.split("::").next() == Some(**floor);
    FLOORS.iter().take_while(|floor| !is_its(floor)).count()
}

/// The uses between modules, each with its place in the sources.
fn uses(sources: &[Source]) -> Vec<(String, String, Violation)> {
    let sources: Vec<&Source> = sources.iter().filter(|source| !source.is_test()).collect();
    let mut uses = Vec::new();
    for source in &sources {
        let Some(user) = module(source) else { continue };
        for named in &source.named {
            let Some(used) = Graph::module_named(source, named, 2) else {
                continue;
            };
            let is_module = FLOORS.contains(&used[0].as_str());
            let used = used.join("::");
            if is_module && used != user {
                let place = Violation {
                    path: source.path.clone(),
                    line: named.line,
                    rule: String::new(),
                };
                uses.push((user.clone(), used, place));
            }
        }
    }
    uses
}

/// Where `needle` stands in `line` as a name of its own, or at the beginning of a longer one.
fn is_named(line: &str, needle: &str) -> bool {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    line.match_indices(needle)
        .any(|(at, _)| !needle.starts_with(char::is_alphabetic) || !line[..at].ends_with(is_name))
}

/// Everything that breaks a rule.
pub(crate) fn check(sources: &[Source]) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    for (user, used, place) in uses(sources) {
        let allowed = MAY_USE.iter().find(|(name, _)| *name == user);
        let may = allowed.is_some_and(|(_, may_use)| may_use.contains(&used.as_str()));
        if floor(&user) < floor(&used) {
            let (below, above) = (FLOORS[floor(&user)], FLOORS[floor(&used)]);
            let rule = format!("`{below}` is below `{above}`: `{user}` may not use `{used}`");
            found.insert(Violation { rule, ..place });
        } else if !may {
            let rule = format!("`{user}` may not use `{used}`");
            found.insert(Violation { rule, ..place });
        }
    }
    for source in sources {
        let mut add = |line: usize, rule: String| {
            found.insert(Violation {
                path: source.path.clone(),
                line,
                rule,
            });
        };
        for (line, text) in (1..).zip(source.text.lines()) {
            let columns = text.chars().count();
            if columns > MAX_COLUMNS {
                add(line, format!("{columns} columns; break the line"));
            }
        }
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            add(MAX_LINES + 1, format!("{lines} lines; split the file"));
        }
        if source.is_test() {
            continue;
        }
        if let Some(module) = module(source)
            && !MAY_USE.iter().any(|(name, _)| *name == module)
        {
            add(1, format!("`{module}` has no place in MAY_USE"));
        }
        for (needle, places) in ONLY_IN {
            if places.iter().any(|place| source.is_at(place)) {
                continue;
            }
            for (line, _) in source.code().filter(|(_, text)| is_named(text, needle)) {
                let places = places.join(", ");
                add(line, format!("`{needle}` may stand only in: {places}"));
            }
        }
        for (name, line, arguments) in &source.constructors {
            if *arguments > MAX_ARGUMENTS {
                add(
                    *line,
                    format!("`{name}` takes {arguments} arguments; take a struct"),
                );
            }
        }
        if let Some(line) = source.code_after_tests() {
            add(line, "code after the tests".to_owned());
        }
    }
    found
}

/// The permissions of `MAY_USE` that no file uses.
pub(crate) fn unused(sources: &[Source]) -> Vec<String> {
    let mut unused: BTreeSet<(&str, &str)> = MAY_USE
        .iter()
        .flat_map(|(user, may_use)| may_use.iter().map(move |used| (*user, *used)))
        .collect();
    for (user, used, _) in uses(sources) {
        unused.retain(|pair| *pair != (user.as_str(), used.as_str()));
    }
    let unused = unused.into_iter();
    unused
        .map(|(user, used)| format!("`{user}` may use `{used}`"))
        .collect()
}
