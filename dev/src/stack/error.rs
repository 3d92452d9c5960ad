//! The errors of the stack.

use std::path::PathBuf;

/// A failure of the stack itself, not of the code under test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is missing.
    #[error("{} does not exist: if it is a tool, run `make tools`", .0.display())]
    Missing(PathBuf),
    /// A program could not be started, or communication with it failed.
    #[error("{name}: {source}")]
    Process {
        /// The program.
        name: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A program ended, or reached the time limit, before it was ready.
    #[error("{name} did not become ready ({why}); its output:\n{output}")]
    NotReady {
        /// The program.
        name: &'static str,
        /// The reason.
        why: String,
        /// The program's output.
        output: String,
    },
    /// An HTTP request failed.
    #[error("HTTP: {}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// An AWS call failed.
    #[error("{call}: {why}")]
    Aws {
        /// The call as an IAM action.
        call: &'static str,
        /// The error with its sources.
        why: String,
    },
    /// The real Home Assistant rejected a request, or its response was unexpected.
    #[error("Home Assistant: {0}")]
    HomeAssistant(String),
    /// A wait reached its time limit.
    #[error("timed out after {seconds} s while waiting for {what}")]
    Timeout {
        /// The expected event.
        what: String,
        /// The time limit.
        seconds: u64,
    },
}

/// The result of an operation of the stack.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the error of a failed AWS call.
    pub(super) fn aws(call: &'static str, error: &dyn std::error::Error) -> Self {
        Self::Aws {
            call,
            why: chain(error),
        }
    }
}

/// Returns an error's text with the texts of all its sources. The first text is often only "error sending request".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
