//! Errors of the token service.

use super::format::Defect;
use crate::base::secret::Fingerprint;
use crate::home::source::{Origin, SourceError};

/// An error of the token service: no usable token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stored text is not a token.
    #[error("{origin} holds text that is not a token: {defect}")]
    Malformed {
        /// The place of the stored token.
        origin: Origin,
        /// The defect of the text.
        defect: Defect,
    },
    /// The token has expired according to its own expiry time.
    #[error("{origin} holds the token {fingerprint}, which has expired")]
    Expired {
        /// The place of the stored token.
        origin: Origin,
        /// The token's fingerprint.
        fingerprint: Fingerprint,
    },
    /// The home has rejected the token, and the source still holds the same one.
    #[error("the home rejected the token {fingerprint}, and {origin} holds no other")]
    Rejected {
        /// The place of the stored token.
        origin: Origin,
        /// The token's fingerprint.
        fingerprint: Fingerprint,
        /// The version of the parameter that holds the token.
        version: Option<i64>,
    },
}
