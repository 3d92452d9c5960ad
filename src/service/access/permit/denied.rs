//! The error of a request that no permission allows.

/// The error of a request that no permission of the caller allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request requires the permission {wanted}")]
pub struct Denied {
    /// A permission that would allow the request.
    pub wanted: String,
}

pub(super) fn denied<T>(wanted: impl Into<String>) -> Result<T, Denied> {
    Err(Denied {
        wanted: wanted.into(),
    })
}
