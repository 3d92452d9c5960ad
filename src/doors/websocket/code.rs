//! The codes of error frames.

use crate::doors::reply::Problem;
use crate::service::access::AccessError;
use crate::service::connections::ConnectionError;
use crate::service::failure::{Failure, ProblemName};

/// The code of an error frame. The codes from 4000 are free for applications; 1008 is the protocol's own code for a
/// violated policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Another error.
    Other,
    /// No token was sent.
    TokenMissing,
    /// The token is invalid.
    TokenInvalid,
    /// The token has expired.
    TokenExpired,
    /// The request is not authorised.
    Policy,
    /// A limit was exceeded.
    Limit,
}

impl Code {
    /// Returns the code for a failure. `problem` is the failure's problem.
    pub(super) fn of(failure: &Failure, problem: &Problem) -> Self {
        match failure {
            Failure::Access(AccessError::Missing) => return Self::TokenMissing,
            Failure::Access(AccessError::Expired) => return Self::TokenExpired,
            Failure::Access(AccessError::NotSetUp | AccessError::KeysUnavailable(_)) => {
                return Self::Other;
            }
            Failure::Access(_) => return Self::TokenInvalid,
            Failure::Connection(ConnectionError::Gone) => return Self::TokenMissing,
            _ => {}
        }
        match problem.name {
            ProblemName::Forbidden => Self::Policy,
            ProblemName::RateLimited => Self::Limit,
            _ => Self::Other,
        }
    }

    /// Returns the number of the code.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Other => 4000,
            Self::TokenMissing => 4001,
            Self::TokenInvalid => 4002,
            Self::TokenExpired => 4003,
            Self::Policy => 1008,
            Self::Limit => 4029,
        }
    }

    /// Returns true if a client whose connection is closed with this code should connect again: with a token, with a
    /// new token, or after a pause.
    pub(super) fn invites_back(self) -> bool {
        match self {
            Self::Other | Self::TokenMissing | Self::TokenExpired | Self::Limit => true,
            Self::TokenInvalid | Self::Policy => false,
        }
    }
}
