//! The rules, and the search for violations.

use std::collections::BTreeSet;
use std::fmt;

use super::graph::Graph;
use super::permissions::{FLOORS, MAY_USE, ONLY_IN};
use super::source::Source;

/// The maximum number of lines of a file, including tests.
const MAX_LINES: usize = 400;

/// The maximum number of columns of a line.
const MAX_COLUMNS: usize = 120;

/// The maximum number of arguments of a constructor.
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

/// Returns true if `line` contains `needle` as a whole name, or at the beginning of a longer name.
fn is_named(line: &str, needle: &str) -> bool {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    line.match_indices(needle)
        .any(|(at, _)| !needle.starts_with(char::is_alphabetic) || !line[..at].ends_with(is_name))
}

/// Returns all violations.
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
        let user = module(source);
        for named in source.named.iter().filter(|_| user.is_some()) {
            let Some(path) = Graph::path_in_latchkey(source, named) else {
                continue;
            };
            if named.is_import && path.len() < 2 {
                // Later paths would begin with the floor's name, and the other rules would not see them.
                add(
                    named.line,
                    "names a whole floor; name the module".to_owned(),
                );
            }
            if path.first().is_some_and(|first| first == "composition") {
                add(named.line, "no floor may use `composition`".to_owned());
            }
        }
        for line in &source.inline_modules {
            add(*line, "a module within a file; give it a file".to_owned());
        }
        if let Some(module) = user
            && !MAY_USE.iter().any(|(name, _)| *name == module)
        {
            add(1, format!("`{module}` is missing in MAY_USE"));
        }
        for (needle, places) in ONLY_IN {
            if places.iter().any(|place| source.is_at(place)) {
                continue;
            }
            for (line, _) in source.code().filter(|(_, text)| is_named(text, needle)) {
                let places = places.join(", ");
                add(line, format!("`{needle}` is allowed only in: {places}"));
            }
        }
        for (name, line, arguments) in &source.constructors {
            if *arguments > MAX_ARGUMENTS {
                add(
                    *line,
                    format!("`{name}` has {arguments} arguments; pass a struct instead"),
                );
            }
        }
        if let Some(line) = source.code_after_tests() {
            add(
                line,
                "code after the tests; move it before the tests".to_owned(),
            );
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
