//! Lets callers in.

use super::caller::Caller;
use super::error::AccessError;
use super::verifier::Verifier;
use crate::base::metrics::{Meter, Metric};

/// Who is let in.
pub enum Door {
    /// Whoever has a token that this verifier accepts.
    Verified(Box<Verifier>),
    /// Nobody: no way is set up by which callers could prove who they are.
    Closed,
    /// Everybody; local use only.
    Open,
}

impl Door {
    /// Who has this token.
    pub async fn admit(&self, token: Option<&str>, meter: &Meter) -> Result<Caller, AccessError> {
        let verifier = match self {
            Self::Open => return Ok(Caller::unproven()),
            Self::Closed => return Err(AccessError::NotSetUp),
            Self::Verified(verifier) => verifier,
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
