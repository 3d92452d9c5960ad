//! Why a caller is not let in.

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
    #[error("the keys that callers' tokens are verified with could not be read ({0})")]
    KeysUnavailable(String),
}
