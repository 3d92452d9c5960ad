//! Checks of the stack's parameters and alarms.

use std::collections::{BTreeMap, BTreeSet};

use super::page::{Page, assert_found, assert_none, code, pages, read, rows};

/// Names in `template.yaml`, read by their indentation.
pub(super) struct Template {
    pub(super) text: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) resources: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
}

impl Template {
    pub(super) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            parameters: Self::section(text, "Parameters"),
            resources: Self::section(text, "Resources"),
            outputs: Self::section(text, "Outputs"),
        }
    }

    /// The entries of a section, each with its text.
    pub(super) fn section(text: &str, name: &str) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::<String, String>::new();
        let mut entry = None::<String>;
        let lines = text
            .lines()
            .skip_while(|line| *line != format!("{name}:"))
            .skip(1);
        for line in lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
            let is_entry =
                line.starts_with("  ") && line[2..].starts_with(|c: char| c.is_ascii_uppercase());
            match line.trim().strip_suffix(':').filter(|_| is_entry) {
                Some(name) => entry = Some(name.to_owned()),
                None => {
                    if let Some(entry) = &entry {
                        let text = entries.entry(entry.clone()).or_default();
                        text.push_str(line);
                        text.push('\n');
                    }
                }
            }
        }
        assert!(!entries.is_empty(), "template.yaml has no {name}");
        entries
    }

    /// The parameter that an environment variable of the functions comes from.
    pub(super) fn parameter_of(&self, variable: &str) -> Option<String> {
        let value = |name: &str, text: &str| {
            let lines = text.lines().map(str::trim);
            let found = lines
                .filter_map(|line| line.strip_prefix(&format!("{name}: ")))
                .next();
            found.map(str::to_owned)
        };
        let reference = |text: &str| {
            let (_, rest) = text.split_once("!Ref ")?;
            Some(rest.split([',', ']']).next()?.to_owned())
        };
        let text = value(variable, &self.text)?;
        match text.strip_prefix("!If [") {
            Some(condition) => reference(&value(condition.split(',').next()?, &self.text)?),
            None => reference(&text),
        }
    }
}

/// Inline code like `Rotation=on` sets a parameter of the stack.
fn stack_parameters(pages: &[Page], template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    for page in pages {
        for (span, place) in page.parts().spans {
            let name = span
                .split_once('=')
                .map(|(name, _)| name)
                .filter(|_| !span.contains([' ', '/']));
            let is_parameter = |name: &&str| {
                let mut letters = name.chars();
                letters.next().is_some_and(|c| c.is_ascii_uppercase())
                    && letters.next().is_some_and(|c| c.is_ascii_lowercase())
            };
            if let Some(name) = name
                .filter(is_parameter)
                .filter(|name| !template.parameters.contains_key(*name))
            {
                findings.push(format!("{place}: no parameter `{name}` in template.yaml"));
            }
        }
    }
    findings
}

fn alarms(page: &Page, template: &Template) -> Vec<String> {
    let is_alarm = |(_, text): &(&String, &String)| text.contains("Type: AWS::CloudWatch::Alarm");
    let made: BTreeSet<&str> = template
        .resources
        .iter()
        .filter(is_alarm)
        .map(|(name, _)| name.as_str())
        .collect();
    let rows = rows(&page.text);
    let told = rows
        .iter()
        .filter_map(|row| code(&row[0]))
        .filter(|name| name.ends_with("Alarm"))
        .collect();
    differences(&page.path, &made, &told)
}

pub(super) fn differences(path: &str, made: &BTreeSet<&str>, told: &BTreeSet<&str>) -> Vec<String> {
    let missing = made
        .difference(told)
        .map(|name| format!("{path}: `{name}` is missing"));
    let extra = told
        .difference(made)
        .map(|name| format!("{path}: `{name}` does not exist"));
    missing.chain(extra).collect()
}

#[test]
fn documented_parameters_and_alarms_match_the_stack() {
    let template = Template::of(&read("template.yaml"));
    assert_none(&stack_parameters(&pages(), &template));
    assert_found(
        &stack_parameters(&[Page::made("`Rotate=on`")], &template),
        "no parameter `Rotate`",
    );
    let page = Page::open("docs/operation.md");
    assert_none(&alarms(&page, &template));
    let other = Page::made(&page.text.replace("TokenStaleAlarm", "TokenOldAlarm"));
    assert_found(&alarms(&other, &template), "`TokenStaleAlarm` is missing");
    assert_found(&alarms(&other, &template), "`TokenOldAlarm` does not exist");
}
