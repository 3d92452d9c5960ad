//! The rows of the problem table for the authentication of callers.

use super::Problem;
use crate::service::access::{AccessError, KeysError};
use crate::service::failure::ProblemName;

impl Problem {
    pub(super) fn of_access(error: &AccessError) -> Self {
        let (name, action) = match error {
            AccessError::Missing => (
                ProblemName::Unauthenticated,
                "send a token in the header Authorization: Bearer …",
            ),
            AccessError::NotSetUp => (
                ProblemName::Unauthenticated,
                "set CALLER_JWT_ISSUER, CALLER_JWT_AUDIENCE and either CALLER_JWT_JWKS_URL or \
                 CALLER_JWT_SECRET_PARAMETER, or invoke the function directly",
            ),
            AccessError::KeysUnavailable(error) => return Self::of_keys(error),
            AccessError::TwoTokens => (ProblemName::Unauthenticated, "send only one token"),
            AccessError::Origin => (
                ProblemName::Unauthenticated,
                "send the token in the header Authorization, or add the page's origin to CORS_ORIGINS",
            ),
            AccessError::TooLarge => (
                ProblemName::Unauthenticated,
                "get a token with fewer or shorter permissions",
            ),
            AccessError::Malformed(_)
            | AccessError::Algorithm
            | AccessError::UnknownKey
            | AccessError::Signature
            | AccessError::Claim(_)
            | AccessError::NotYet
            | AccessError::Expired => (
                ProblemName::Unauthenticated,
                "get a new token from the issuer that this latchkey trusts",
            ),
        };
        Self::new(name, error, action)
    }

    fn of_keys(error: &KeysError) -> Self {
        let name = ProblemName::TokenSourceUnavailable;
        match error {
            KeysError::Source(error) => Self::of_source(error),
            KeysError::SecretTooShort { .. } => Self::new(
                name,
                error,
                "store a longer random secret in that parameter, and have the issuer sign with it",
            )
            .titled("The secret in the parameter named by CALLER_JWT_SECRET_PARAMETER is too short"),
            KeysError::PushSecretTooShort { .. } => Self::new(
                name,
                error,
                "store a longer random secret in that parameter, and in the homes that push events",
            ),
            KeysError::KeySet(_) => Self::new(
                name,
                error,
                "try again; if the problem persists, check that CALLER_JWT_JWKS_URL is the issuer's key set and that \
                 the function's network can reach it",
            )
            .titled("The key set at CALLER_JWT_JWKS_URL is not usable"),
        }
    }
}
