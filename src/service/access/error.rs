//! The errors of authentication.

use crate::home::source::SourceError;

/// The reason why a caller is unauthenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The request has no token.
    #[error("the request has no token")]
    Missing,
    /// The request has two different tokens.
    #[error("the request has two different tokens")]
    TwoTokens,
    /// The token is in a cookie, and the origin of the request is not in `CORS_ORIGINS`.
    #[error("the token is in a cookie, but the request does not have an allowed origin")]
    Origin,
    /// The token is not a JSON Web Token.
    #[error("the token is not a valid JSON Web Token ({0})")]
    Malformed(&'static str),
    /// The token is too large. It was not parsed.
    #[error("the token is larger than 8 KB")]
    TooLarge,
    /// The token uses an algorithm that latchkey does not accept for its key source.
    #[error("the token is signed with an algorithm that is not accepted")]
    Algorithm,
    /// The token is signed with an unknown key.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// The signature does not match the key and the content.
    #[error("the token's signature is invalid")]
    Signature,
    /// A claim is missing or invalid.
    #[error("the token's claim `{0}` is missing or invalid")]
    Claim(&'static str),
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// The authentication of callers is not configured, so every caller is rejected.
    #[error("the authentication of callers is not configured")]
    NotSetUp,
    /// The keys are unavailable, so no token can be verified.
    #[error(transparent)]
    KeysUnavailable(KeysError),
}

/// The reason why the keys for callers' tokens are unavailable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The secret could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The secret is too short to be safe.
    #[error(
        "the secret in the parameter named by CALLER_JWT_SECRET_PARAMETER has fewer than {least_bytes} bytes"
    )]
    SecretTooShort {
        /// The minimum length of the secret.
        least_bytes: usize,
    },
    /// The secret with which homes push events is too short to be safe.
    #[error(
        "the secret in the parameter named by EVENTS_SECRET_PARAMETER has fewer than {least_bytes} bytes"
    )]
    PushSecretTooShort {
        /// The minimum length of the secret.
        least_bytes: usize,
    },
    /// The issuer's key set could not be read, or it has no usable key.
    #[error("the key set at CALLER_JWT_JWKS_URL is unusable: {0}")]
    KeySet(String),
}
