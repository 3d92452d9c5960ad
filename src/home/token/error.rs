//! Why there is no token.

use super::format::Defect;
use crate::base::secret::Fingerprint;
use crate::home::source::{Origin, SourceError};

/// Why there is no usable token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The source does not give one.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stored text cannot be a token.
    #[error("{origin} holds text that is not a token: {defect}")]
    Malformed {
        /// Where it lies.
        origin: Origin,
        /// What is wrong with it.
        defect: Defect,
    },
    /// The token has ended by its own word.
    #[error("{origin} holds the token {fingerprint}, which has expired")]
    Expired {
        /// Where it lies.
        origin: Origin,
        /// Which token.
        fingerprint: Fingerprint,
    },
    /// The home has rejected the token, and the source still holds the same one.
    #[error("the home rejected the token {fingerprint}, and {origin} holds no other")]
    Rejected {
        /// Where it lies.
        origin: Origin,
        /// Which token.
        fingerprint: Fingerprint,
        /// The version of the parameter that holds it.
        version: Option<i64>,
    },
}
