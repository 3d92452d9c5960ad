//! Checks of environment variables.

use latchkey::base::config::{Config, Lookup};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::page::{Page, assert_found, assert_none, code, pages, read, rows};
use super::stack::{Template, differences};

/// A source of variables that records the names of the variables that are read.
struct Asked<'a> {
    values: BTreeMap<&'a str, &'a str>,
    names: RefCell<BTreeSet<String>>,
}

impl<'a> Asked<'a> {
    /// Sets the variables without which other variables have no effect, and one more variable.
    fn with(name: &'a str, value: &'a str) -> Self {
        let mut values = BTreeMap::from([
            ("HA_URL", "http://ha:8123"),
            ("CALLER_JWT_ISSUER", "https://issuer.example"),
            ("CALLER_JWT_AUDIENCE", "latchkey"),
            ("CALLER_JWT_SECRET_PARAMETER", "/callers/secret"),
        ]);
        values.insert(name, value);
        Self {
            values,
            names: RefCell::default(),
        }
    }
}

impl Lookup for Asked<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.names.borrow_mut().insert(name.to_owned());
        self.values.get(name).map(|value| (*value).to_owned())
    }
}

fn config_with(name: &str, value: &str) -> Result<String, String> {
    let config = Config::read(&Asked::with(name, value));
    config.map(|config| format!("{config:?}")).map_err(|error| {
        let faults = error.0.into_iter().filter(|fault| fault.name == name);
        faults.map(|fault| fault.problem).collect()
    })
}

fn variables_that_are_read() -> BTreeSet<String> {
    let asked = Asked::with("HA_URL", "http://ha:8123");
    Config::read(&asked).unwrap();
    asked.names.into_inner()
}

/// Names, defaults, ranges and stack parameters of the tables in `docs/configuration.md`.
pub(super) fn variables(page: &Page, template: &Template) -> Vec<String> {
    let read = variables_that_are_read();
    let rows = rows(&page.text);
    let told = rows.iter().filter_map(|row| Some((code(&row[0])?, row)));
    let told: BTreeMap<&str, &Vec<String>> = told.collect();
    let names = told.keys().copied().collect();
    let mut findings = differences(
        &page.path,
        &read.iter().map(String::as_str).collect(),
        &names,
    );
    for (name, row) in told.into_iter().filter(|(_, row)| row.len() == 4) {
        let (default, values, parameter) = (&row[1], &row[2], code(&row[3]).map(str::to_owned));
        if let Some(default) = code(default)
            && config_with(name, default) != config_with(name, "")
        {
            findings.push(format!(
                "{}: {name}: the default is not {default}",
                page.path
            ));
        }
        let fault = config_with(name, "\u{1}").err().unwrap_or_default();
        let range = ["a whole number ", "must be "]
            .into_iter()
            .find_map(|start| fault.split_once(start));
        let range = range.map(|(_, range)| range.trim_start_matches("a whole number "));
        let is_range = |range: &&str| range.starts_with("from ") || range.starts_with("one of ");
        if let Some(range) = range.filter(is_range).filter(|range| range != values) {
            findings.push(format!("{}: {name}: the values are {range}", page.path));
        }
        if template.parameter_of(name) != parameter {
            findings.push(format!(
                "{}: {name}: another parameter of the stack sets it",
                page.path
            ));
        }
    }
    findings
}

/// Names of variables anywhere in the documentation.
fn variable_names(pages: &[Page]) -> Vec<String> {
    let read = variables_that_are_read();
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let prefixes = [
        "HA_", "HOMES_", "CALLER_", "TOKEN_", "TABLE_", "METRICS_", "LOG_", "CORS_", "HTTP_",
    ];
    let mut findings = Vec::new();
    for page in pages {
        for (span, place) in page.parts().spans {
            let name = span.split('=').next().unwrap();
            let is_name =
                name.chars().all(is_part) && prefixes.iter().any(|prefix| name.starts_with(prefix));
            if is_name && !read.contains(name) {
                findings.push(format!("{place}: no variable `{name}`"));
            }
        }
    }
    findings
}

#[test]
fn documented_variables_match_the_code() {
    let template = Template::of(&read("template.yaml"));
    let page = Page::open("docs/configuration.md");
    assert_none(&variables(&page, &template));
    assert_none(&variable_names(&pages()));
    for (from, to, words) in [
        (
            "| `LOG_LEVEL` |",
            "| `LOG_LEVELS` |",
            "`LOG_LEVEL` is missing",
        ),
        (
            "| `LOG_LEVEL` |",
            "| `LOG_LEVELS` |",
            "`LOG_LEVELS` does not exist",
        ),
        ("| `3000` |", "| `2000` |", "the default is not 2000"),
        (
            "| `*=20/100` |",
            "| `*=20/50` |",
            "the default is not *=20/50",
        ),
        ("| `tenant` |", "| `home` |", "the default is not home"),
        ("from 0 to 86400", "from 0 to 86401", "from 0 to 86400"),
        ("one of jwt, any", "one of any", "one of jwt, any"),
        (
            "`HaRetryBaseMs`",
            "`HaRetryMs`",
            "HA_RETRY_BASE_MS: another parameter",
        ),
        ("`SharedTable` |", "|", "TABLE_NAME: another parameter"),
    ] {
        let other = Page::made(&page.text.replacen(from, to, 1));
        assert_found(&variables(&other, &template), words);
    }
    assert_found(
        &variable_names(&[Page::made("`HA_TOKENS`")]),
        "no variable `HA_TOKENS`",
    );
}
