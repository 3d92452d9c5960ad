//! Authentication of callers.

use super::caller::Caller;
use super::error::AccessError;
use super::verifier::Verifier;
use crate::base::metrics::{Meter, Metric};

/// Decides which callers are authenticated.
pub enum Authenticator {
    /// Accepts callers whose JSON Web Token passes this verifier.
    Jwt(Box<Verifier>),
    /// Rejects every caller, because `CALLER_JWT_*` is not configured.
    RejectAll,
    /// Accepts every request without a token. For local use only.
    AllowAll,
}

impl Authenticator {
    /// Reads the keys before the first caller needs them.
    pub async fn read_ahead(&self) {
        if let Self::Jwt(verifier) = self {
            verifier.read_ahead().await;
        }
    }

    /// Returns the caller whose token this is. Counts each token that is accepted or rejected in `meter`.
    pub async fn authenticate(
        &self,
        token: Option<&str>,
        meter: &Meter,
    ) -> Result<Caller, AccessError> {
        let verifier = match self {
            Self::AllowAll => return Ok(Caller::unproven()),
            Self::RejectAll => return Err(AccessError::NotSetUp),
            Self::Jwt(verifier) => verifier,
        };
        let caller = match token {
            Some(token) => verifier.verify(token).await,
            None => Err(AccessError::Missing),
        };
        meter.record(match &caller {
            Ok(_) => Metric::CallerAuthSuccess,
            Err(_) => Metric::CallerAuthFailure,
        });
        caller
    }
}
