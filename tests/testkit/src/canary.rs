//! A search for tokens in output.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// The number of consecutive characters of a token that are a leak.
const WINDOW: usize = 12;
/// The header of every token. All tokens have the same header, so it is public.
const PUBLIC: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// A search for tokens in output. Twelve consecutive characters of a token are a leak.
#[derive(Debug, Default)]
pub struct Canary {
    windows: HashSet<Vec<u8>>,
}

impl Canary {
    /// Creates a search for one token.
    pub fn new(token: &str) -> Self {
        let mut canary = Self::default();
        canary.watch(token);
        canary
    }

    /// Adds a token to the search.
    pub fn watch(&mut self, token: &str) {
        assert!(
            token.len() > 100 && token.is_ascii(),
            "the text is too short for a token or not ASCII"
        );
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

    /// Adds the tokens of another search.
    pub fn join(&mut self, other: Self) {
        self.windows.extend(other.windows);
    }

    /// Returns the first part of a token in `text`, with the text around it.
    pub fn leak(&self, text: &str) -> Option<String> {
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

    /// Searches `text`. A failing test shows the name `what`.
    ///
    /// # Panics
    ///
    /// If `text` contains a part of a token.
    pub fn search(&self, what: &str, text: &str) {
        if let Some(leak) = self.leak(text) {
            panic!("{what} contains a part of the token: …{leak}…");
        }
    }
}

/// Parses the `Debug` output of bytes: numbers, separated by commas.
fn numbers(list: &str) -> Vec<u8> {
    list.split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect()
}

/// Log output that is kept in memory.
#[derive(Clone, Debug, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

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
    /// Captures the logs of this thread with latchkey's targets, at every level, until the guard is dropped.
    pub fn start() -> (Self, DefaultGuard) {
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

    /// Returns the log lines that were captured so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
