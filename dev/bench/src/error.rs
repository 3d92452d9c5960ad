//! The errors of the benchmark.

use latchkey_dev::stack;
use tokio_tungstenite::tungstenite;

/// A failure of the benchmark, or a wrong behaviour of the function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A part of the stack failed.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// An operation of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The raw WebSocket failed.
    #[error("the raw WebSocket: {0}")]
    Wire(Box<tungstenite::Error>),
    /// The function's process ended.
    #[error("the function ended ({status}); its output:\n{output}")]
    Ended {
        /// The exit status.
        status: String,
        /// The function's output.
        output: String,
    },
    /// The function did not respond.
    #[error("the function did not respond within {seconds} s")]
    NoAnswer {
        /// The time limit.
        seconds: u64,
    },
    /// The function's response is not the expected one.
    #[error("unexpected response {answered}; the function's output:\n{output}")]
    WrongAnswer {
        /// The response.
        answered: String,
        /// The function's output.
        output: String,
    },
    /// A result is wrong.
    #[error("{0}")]
    Wrong(String),
    /// A setting is invalid.
    #[error("{0}")]
    Setting(String),
}

impl From<tungstenite::Error> for Error {
    fn from(error: tungstenite::Error) -> Self {
        Self::Wire(Box::new(error))
    }
}
