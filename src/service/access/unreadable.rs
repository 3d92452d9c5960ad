//! The error of an answer that cannot be redacted.

/// The error of an answer with an unexpected format. Such an answer cannot be redacted, so it is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not have Home Assistant's format, so it cannot be redacted")]
pub struct Unreadable;

impl From<serde_json::Error> for Unreadable {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}
