//! Pages and their parts.

use pulldown_cmark::{BrokenLink, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::path::PathBuf;

pub(super) const MAX_COLUMNS: usize = 120;
pub(super) const README_LINES: std::ops::RangeInclusive<usize> = 60..=95;

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A Markdown page, by its path below the root.
pub(super) struct Page {
    pub(super) path: String,
    pub(super) text: String,
}

/// A fenced code block.
pub(super) struct Block {
    pub(super) place: String,
    pub(super) language: String,
    pub(super) text: String,
}

/// The parts of a page that are checked.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) blocks: Vec<Block>,
    /// Inline code, with its place.
    pub(super) spans: Vec<(String, String)>,
    /// Targets of links, with their places.
    pub(super) links: Vec<(String, String)>,
    pub(super) headings: Vec<String>,
    /// Places of links whose reference is not defined.
    pub(super) missing_references: Vec<String>,
}

impl Page {
    pub(super) fn open(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: read(path),
        }
    }

    pub(super) fn made(text: &str) -> Self {
        Self {
            path: "docs/made.md".to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn place(&self, offset: usize) -> String {
        let line = self.text[..offset].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }

    pub(super) fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        let (mut block, mut heading) = (None::<Block>, None::<String>);
        let mut missing = Vec::new();
        let note_missing = |link: BrokenLink<'_>| {
            missing.push(link.span.start);
            None
        };
        let options = Options::ENABLE_TABLES;
        let parser = Parser::new_with_broken_link_callback(&self.text, options, Some(note_missing));
        for (event, range) in parser.into_offset_iter() {
            let place = self.place(range.start);
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block {
                        place,
                        language,
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => parts.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => parts.headings.extend(heading.take()),
                Event::Start(Tag::Link { dest_url, .. }) => {
                    parts.links.push((dest_url.to_string(), place));
                }
                Event::Text(text) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    parts.spans.push((code.to_string(), place));
                }
                _ => {}
            }
        }
        parts.missing_references = missing.into_iter().map(|at| self.place(at)).collect();
        parts
    }
}

/// Every page of the documentation.
pub(super) fn pages() -> Vec<Page> {
    let mut paths = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    let mut folders = vec!["docs".to_owned(), "infra".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    assert!(paths.len() > 15, "{paths:?}");
    paths.iter().map(|path| Page::open(path)).collect()
}

/// The rows of all tables of a page, without heads and rules.
pub(super) fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &str| line.starts_with("| ");
    let is_head = |index: usize| {
        lines
            .get(index + 1)
            .is_some_and(|next| next.starts_with("|---"))
    };
    (0..lines.len())
        .filter(|index| is_row(lines[*index]) && !is_head(*index))
        .map(|index| cells(lines[index]))
        .collect()
}

/// Returns the text of a cell that contains only inline code.
pub(super) fn code(cell: &str) -> Option<&str> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.contains('`')).then_some(inner)
}

pub(super) fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// Each planted fault must be found by a finding with these words.
pub(super) fn assert_found(findings: &[String], words: &str) {
    let found = findings.iter().any(|finding| finding.contains(words));
    assert!(found, "no finding with {words:?} among {findings:?}");
}
