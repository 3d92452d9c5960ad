//! The refusal of a request that no permission allows.

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this takes the permission {wanted}")]
pub struct Denied {
    /// A permission that would allow it.
    pub wanted: String,
}

pub(super) fn denied<T>(wanted: impl Into<String>) -> Result<T, Denied> {
    Err(Denied {
        wanted: wanted.into(),
    })
}
