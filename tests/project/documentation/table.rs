//! Checks of the tables of problems, metrics, targets and figures.

use latchkey::service::failure::ProblemName;
use std::collections::BTreeSet;

use super::page::{Page, assert_found, assert_none, code, read, root, rows};
use super::stack::differences;

/// Each problem is a heading with its status, title, cause and action.
fn problems(page: &Page) -> Vec<String> {
    let told: BTreeSet<&str> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let made = ProblemName::ALL
        .map(ProblemName::name)
        .into_iter()
        .collect();
    let mut findings = differences(&page.path, &made, &told);
    for name in ProblemName::ALL {
        let Some((_, section)) = page.text.split_once(&format!("### {}\n", name.name())) else {
            continue;
        };
        let section = section.split("\n#").next().unwrap();
        let item = |label: &str| {
            let (_, rest) = section.split_once(&format!("* {label}: "))?;
            Some(rest.split("\n*").next().unwrap().trim().to_owned())
        };
        let status = item("Status").unwrap_or_default();
        if status.split(';').next() != Some(name.status().to_string().as_str()) {
            findings.push(format!(
                "{}: {}: the status is {}",
                page.path,
                name.name(),
                name.status()
            ));
        }
        if item("Title").as_deref() != Some(name.title()) {
            findings.push(format!(
                "{}: {}: the title is {}",
                page.path,
                name.name(),
                name.title()
            ));
        }
        for label in ["Cause", "Action"] {
            if item(label).is_none_or(|text| text.len() < 10) {
                findings.push(format!("{}: {}: no {label}", page.path, name.name()));
            }
        }
    }
    findings
}

#[test]
fn documented_problems_match_the_code() {
    let page = Page::open("docs/problems.md");
    assert_none(&problems(&page));
    for (from, to, words) in [
        (
            "### rate-limited",
            "### rate-limit",
            "`rate-limited` is missing",
        ),
        (
            "### rate-limited",
            "### rate-limit",
            "`rate-limit` does not exist",
        ),
        (
            "Status: 429",
            "Status: 420",
            "rate-limited: the status is 429",
        ),
        (
            "Title: Too many requests",
            "Title: Too much",
            "rate-limited: the title is",
        ),
        (
            "* Action: Wait for the number",
            "Wait for the number",
            "rate-limited: no Action",
        ),
    ] {
        assert_found(&problems(&Page::made(&page.text.replace(from, to))), words);
    }
}

/// The metrics of the page's tables, and those that the code names.
fn metrics(page: &Page) -> Vec<String> {
    let mut source = String::new();
    for entry in std::fs::read_dir(root().join("src/base/metrics")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "rs") {
            source.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    // `Self::TokenValid(_) => "TokenValid",`
    let named = source.lines().filter_map(|line| {
        let (variant, name) = line.trim().strip_prefix("Self::")?.split_once(" => \"")?;
        let name = name.strip_suffix("\",")?;
        (variant.split('(').next() == Some(name)).then_some(name)
    });
    let units = ["Count", "Milliseconds", "None"];
    let made: BTreeSet<&str> = named.filter(|name| !units.contains(name)).collect();
    assert!(made.len() > 10, "{made:?}");
    let (_, section) = page.text.split_once("\n## Metrics").unwrap();
    let rows = rows(section.split("\n## ").next().unwrap());
    let told = rows.iter().filter_map(|row| code(&row[0])).collect();
    differences(&page.path, &made, &told)
}

pub(super) fn targets(page: &Page, makefile: &str) -> Vec<String> {
    let lines = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY: "));
    let made: BTreeSet<&str> = lines.collect();
    let rows = rows(&page.text);
    let told = rows
        .iter()
        .filter_map(|row| code(&row[0])?.strip_prefix("make "))
        .collect();
    differences(&page.path, &made, &told)
}

#[test]
fn metrics_and_targets_are_complete() {
    let page = Page::open("docs/operation.md");
    assert_none(&metrics(&page));
    let other = Page::made(&page.text.replace("| `TokenStale` |", "| `TokenOld` |"));
    assert_found(&metrics(&other), "`TokenStale` is missing");
    assert_found(&metrics(&other), "`TokenOld` does not exist");
    let (page, makefile) = (Page::open("docs/development.md"), read("Makefile"));
    assert_none(&targets(&page, &makefile));
    let other = Page::made(&page.text.replace("| `make bench` |", "| `make fast` |"));
    assert_found(&targets(&other, &makefile), "`bench` is missing");
    assert_found(&targets(&other, &makefile), "`fast` does not exist");
}

/// Each cost is units times price, and each total the sum of its table.
fn figures(page: &Page) -> Vec<String> {
    let number = |cell: &str| cell.trim_start_matches('$').parse::<f64>();
    let (mut findings, mut sum, mut totals) = (Vec::new(), 0.0, 0);
    for row in rows(&page.text) {
        let Some(cost) = row.last().and_then(|cost| number(cost).ok()) else {
            continue;
        };
        let expected = match row[0].as_str() {
            "Total" => {
                totals += 1;
                std::mem::take(&mut sum)
            }
            _ => {
                let cost = number(&row[1]).unwrap() * number(&row[2]).unwrap();
                sum += cost;
                cost
            }
        };
        if (cost - expected).abs() > 0.000_051 {
            findings.push(format!(
                "{}: {}: {cost} is not {expected}",
                page.path, row[0]
            ));
        }
    }
    if totals == 0 {
        findings.push(format!("{}: no total", page.path));
    }
    findings
}

#[test]
fn costs_add_up() {
    let page = Page::open("docs/cost.md");
    assert_none(&figures(&page));
    for (from, to, words) in [
        ("| 52.5 |", "| 62.5 |", "is not"),
        ("| $0.0161 |", "| $0.0171 |", "Total"),
        ("| Total |", "| Sum of all", "no total"),
    ] {
        let text: String = page.text.replace(from, to);
        let text = if to.starts_with("| Sum") {
            text.split("| Sum of all").next().unwrap().to_owned()
        } else {
            text
        };
        assert_found(&figures(&Page::made(&text)), words);
    }
}
