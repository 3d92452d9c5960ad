//! Why there is no token.

use super::format::Defect;
use crate::secret::Fingerprint;
use crate::source::SourceError;

/// Why there is no usable token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The source does not give one.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stored text cannot be a token.
    #[error("the stored text is not a token: {0}")]
    Malformed(#[from] Defect),
    /// The token has ended by its own word.
    #[error("the token {fingerprint} has expired")]
    Expired {
        /// Which token.
        fingerprint: Fingerprint,
    },
    /// The home has rejected the token, and the source still holds the same one.
    #[error("the home rejected the token {fingerprint} and no other is stored")]
    Rejected {
        /// Which token.
        fingerprint: Fingerprint,
        /// The version of the parameter that holds it.
        version: Option<i64>,
    },
}
