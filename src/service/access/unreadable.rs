//! Answers that cannot be redacted.

/// An answer that is not what Home Assistant answers, so that what may be seen of it cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not what Home Assistant answers, so it cannot be redacted")]
pub struct Unreadable;

impl From<serde_json::Error> for Unreadable {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}
