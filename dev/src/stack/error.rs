//! What can go wrong with the stack itself.

use std::path::PathBuf;

/// A failure of the stack, as opposed to one of what is tested on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that `make` installs is not there.
    #[error("{} is not there: `make tools` installs it", .0.display())]
    Missing(PathBuf),
    /// A program could not be started or talked to.
    #[error("{name}: {source}")]
    Process {
        /// Which program.
        name: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ended, or fell silent, before it was ready.
    #[error("{name} was not ready ({why}); it said:\n{output}")]
    NotReady {
        /// Which program.
        name: &'static str,
        /// How it failed to get ready.
        why: String,
        /// Its output so far.
        output: String,
    },
    /// An HTTP request got no answer, or a failure for one.
    #[error("HTTP: {}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// An AWS call failed.
    #[error("{call}: {why}")]
    Aws {
        /// The call in IAM's style.
        call: &'static str,
        /// The error with its causes.
        why: String,
    },
    /// The real Home Assistant said something other than expected.
    #[error("Home Assistant: {0}")]
    HomeAssistant(String),
    /// Something awaited did not come about in time.
    #[error("waited {seconds} s in vain for {what}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// For how long.
        seconds: u64,
    },
}

/// The stack's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with all its causes: the first alone seldom says more than "error sending request".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
