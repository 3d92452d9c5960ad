//! Checks of line lengths and links.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::{MAX_COLUMNS, Page, README_LINES, assert_found, assert_none, pages, root};

fn form(pages: &[Page]) -> Vec<String> {
    let mut findings = Vec::new();
    for page in pages {
        for (line, number) in page.text.lines().zip(1..) {
            let columns = line.chars().count();
            if columns > MAX_COLUMNS {
                findings.push(format!("{}:{number}: {columns} columns", page.path));
            }
        }
        let lines = page.text.lines().count();
        if page.path == "README.md" && !README_LINES.contains(&lines) {
            findings.push(format!("{}: {lines} lines are not one screen", page.path));
        }
    }
    findings
}

/// A heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let text = heading.to_lowercase();
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

pub(super) fn links(pages: &[Page]) -> Vec<String> {
    let mut findings = Vec::new();
    for page in pages {
        let folder = Path::new(&page.path).parent().unwrap();
        let parts = page.parts();
        for (target, place) in &parts.links {
            if target.starts_with("https://") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = root().join(folder).join(file);
            let headings = match file {
                "" => parts.headings.clone(),
                _ if !path.exists() => {
                    findings.push(format!("{place}: {target}: no such file"));
                    continue;
                }
                _ if wanted.is_empty() => continue,
                _ => {
                    let text = std::fs::read_to_string(&path).unwrap();
                    Page::made(&text).parts().headings
                }
            };
            if !headings.iter().any(|heading| anchor(heading) == wanted) {
                findings.push(format!("{place}: {target}: no such heading"));
            }
        }
        let missing = parts.missing_references.iter();
        findings.extend(missing.map(|place| format!("{place}: a link to a missing reference")));
    }
    findings
}

/// Returns the pages that the README does not link to, directly or through other pages.
fn unreachable(pages: &[Page]) -> Vec<String> {
    let clean = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut seen = BTreeSet::new();
    let mut open = vec![clean(&root().join("README.md"))];
    while let Some(path) = open.pop() {
        let path = if path.is_dir() {
            path.join("README.md")
        } else {
            path
        };
        if !path.exists()
            || path.extension().is_none_or(|kind| kind != "md")
            || !seen.insert(path.clone())
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (target, _) in Page::made(&text).parts().links {
            let file = target.split('#').next().unwrap();
            open.push(clean(&path.parent().unwrap().join(file)));
        }
    }
    let is_lost = |page: &&Page| !seen.contains(&clean(&root().join(&page.path)));
    let lost = pages.iter().filter(is_lost);
    lost.map(|page| format!("{}: no link leads here", page.path))
        .collect()
}

#[test]
fn pages_are_narrow_and_the_readme_is_one_screen() {
    assert_none(&form(&pages()));
    let wide = Page::made(&"x".repeat(MAX_COLUMNS + 1));
    assert_found(&form(&[wide]), "121 columns");
    let mut long = Page::made(&"x\n".repeat(README_LINES.end() + 1));
    long.path = "README.md".to_owned();
    assert_found(&form(&[long]), "one screen");
}

#[test]
fn links_lead_to_files_and_headings() {
    assert_none(&links(&pages()));
    for (text, words) in [
        ("[a](missing.md)", "no such file"),
        ("[a](security.md#no-such-heading)", "no such heading"),
        ("# Here\n\n[a](#there)", "no such heading"),
        ("[a][nowhere]", "missing reference"),
    ] {
        assert_found(&links(&[Page::made(text)]), words);
    }
    assert_none(&links(&[Page::made(
        "# A `b`, c\n\n[a](#a-b-c) [b](security.md#the-key)",
    )]));
}

#[test]
fn every_page_is_linked() {
    assert_none(&unreachable(&pages()));
    let lost = Page::made("# Nobody links here");
    assert_found(&unreachable(&[lost]), "no link leads here");
}
