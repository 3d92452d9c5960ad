//! The search, and the proof that it finds what it looks for.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// So many characters in a row are a leak.
const WINDOW: usize = 12;
/// The header of every token, known to everyone: what lies within it tells nothing.
const PUBLIC: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Tokens that must not show up.
#[derive(Debug, Default)]
pub(crate) struct Canary {
    windows: HashSet<Vec<u8>>,
}

impl Canary {
    pub(crate) fn new(token: &str) -> Self {
        let mut canary = Self::default();
        canary.watch(token);
        canary
    }

    /// Looks for one token more.
    pub(crate) fn watch(&mut self, token: &str) {
        assert!(token.len() > 100 && token.is_ascii(), "not much of a token");
        for window in token.as_bytes().windows(WINDOW) {
            if PUBLIC
                .as_bytes()
                .windows(WINDOW)
                .any(|public| public == window)
            {
                continue;
            }
            self.windows.insert(window.to_vec());
        }
    }

    /// Looks for another's tokens as well.
    pub(crate) fn join(&mut self, other: Self) {
        self.windows.extend(other.windows);
    }

    /// What of a token stands in `text`, with the text around it.
    pub(crate) fn leak(&self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let found = |bytes: &[u8]| {
            let mut windows = bytes.windows(WINDOW);
            windows.position(|window| self.windows.contains(window))
        };
        if let Some(at) = found(bytes) {
            let around = at.saturating_sub(200)..(at + 100).min(bytes.len());
            return Some(String::from_utf8_lossy(&bytes[around]).into_owned());
        }
        let mut lists =
            text.split(|c: char| !(c.is_ascii_digit() || c == ',' || c.is_whitespace()));
        let list = lists.find(|list| found(&numbers(list)).is_some())?;
        Some(format!("the bytes {list}"))
    }

    /// Panics if `text` gives anything of a token away.
    pub(crate) fn search(&self, what: &str, text: &str) {
        if let Some(leak) = self.leak(text) {
            panic!("{what} gives the token away: …{leak}…");
        }
    }
}

/// Bytes in the form that `Debug` gives to them: numbers with commas between.
fn numbers(list: &str) -> Vec<u8> {
    list.split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect()
}

/// Logs, kept in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// Captures, on this thread, what is logged at all levels of the targets that the function's own logs show.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        let captured = Self::default();
        let writer = captured.clone();
        let lines = fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .with_filter(Targets::new().with_target("latchkey", LevelFilter::TRACE));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        (captured, guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiIwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIs\
    ImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoyMDE1MzYwMDAwfQ.Zx81kPq3VbN7mTfYw0Lr6QhJ2sUoDe9iAcXg5yBvKtE";

#[test]
fn a_planted_leak_is_found() {
    let canary = Canary::new(TOKEN);
    let end = TOKEN.len();
    for leak in [
        TOKEN.to_owned(),
        format!("Authorization: Bearer {TOKEN}\r\n"),
        format!("{{\"access_token\":\"{TOKEN}\"}}"),
        format!("…{}…", &TOKEN[end - 12..]),
        format!("…{}…", &TOKEN[40..52]),
        // The header's end and what follows it is not public any more.
        format!("…{}…", &TOKEN[30..42]),
        format!("{:?}", TOKEN.as_bytes()),
        format!("Bytes {:?}.", &TOKEN.as_bytes()[end - 12..]),
        format!("{:#?}", &TOKEN.as_bytes()[50..70]),
    ] {
        assert!(canary.leak(&leak).is_some(), "{leak}");
    }
    for harmless in [
        "",
        "an ordinary line",
        PUBLIC,
        &format!("…{}…", &TOKEN[end - 11..]),
        &format!("{:?}", &TOKEN.as_bytes()[end - 11..]),
    ] {
        assert_eq!(canary.leak(harmless), None, "{harmless}");
    }
}

#[test]
#[should_panic(expected = "the log gives the token away")]
fn a_leak_into_the_log_is_found() {
    let (captured, _guard) = Captured::start();
    tracing::trace!(target: "latchkey::home::token", token = TOKEN, "fetched");
    Canary::new(TOKEN).search("the log", &captured.text());
}
