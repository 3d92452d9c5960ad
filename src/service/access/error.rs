//! Why a caller is not let in.

use crate::home::source::SourceError;

/// Why a caller is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No token.
    #[error("there is no token in the request")]
    Missing,
    /// Two tokens that are not the same.
    #[error("the request holds two different tokens")]
    TwoTokens,
    /// The token is in a cookie, and a page asks that was not named to latchkey.
    #[error("the token is in a cookie, and no page whose origin is allowed has sent it")]
    Origin,
    /// Not a JWT.
    #[error("the token is no JSON Web Token ({0})")]
    Malformed(&'static str),
    /// More than is looked at.
    #[error("the token has more than 8 KB")]
    TooLarge,
    /// Signed in a way that is not taken here.
    #[error("the token is signed by an algorithm that is not taken here")]
    Algorithm,
    /// Signed with a key that is not known.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is not valid")]
    Signature,
    /// A claim is missing or is not what it should be.
    #[error("the token's claim `{0}` is missing or not acceptable")]
    Claim(&'static str),
    /// The token has ended.
    #[error("the token has expired")]
    Expired,
    /// The token has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// No caller can be let in, since nobody has said how they prove themselves.
    #[error("no way is set up by which callers could prove who they are")]
    NotSetUp,
    /// The keys cannot be had, so nobody can be let in for now.
    #[error(transparent)]
    KeysUnavailable(KeysError),
}

/// Why there are no keys that callers' tokens could be verified with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The secret could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The secret is too short to be safe.
    #[error(
        "the secret in the parameter that CALLER_JWT_SECRET_PARAMETER names has fewer than {least_bytes} bytes"
    )]
    SecretTooShort {
        /// How many it must have.
        least_bytes: usize,
    },
    /// The issuer's key set could not be read, or holds no usable key.
    #[error("the key set at CALLER_JWT_JWKS_URL is not usable: {0}")]
    KeySet(String),
}
