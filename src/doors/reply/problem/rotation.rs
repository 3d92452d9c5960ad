//! The rows of the problem table for rotations.

use std::borrow::Cow;

use super::Problem;
use crate::home::bridge::BridgeError;
use crate::home::home_assistant::HomeError;
use crate::home::source::{SourceError, SourceFault};
use crate::service::failure::ProblemName;
use crate::service::rotation::RotationError;

impl Problem {
    pub(super) fn of_rotation(error: &RotationError) -> Self {
        const LATER: &str =
            "no token is lost: run the rotation again, and it continues from the current state";
        let (name, action) = match error {
            RotationError::NoParameter => (
                ProblemName::BadRequest,
                "store the token in a parameter and name it in HA_TOKEN_PARAMETER",
            ),
            RotationError::NotIdentified => (
                ProblemName::TokenMalformed,
                "store a long-lived access token that Home Assistant has issued",
            ),
            RotationError::NotOwner { .. } => (
                ProblemName::Forbidden,
                "create a long-lived access token as the owner of the home and store it, or rotate by hand",
            ),
            RotationError::Bridge(BridgeError::Token(error)) => return Self::of_token(error),
            RotationError::Bridge(BridgeError::Home(error)) => return Self::of_home(error),
            RotationError::Source(error) => {
                let of_source = Self::of_source(error);
                return match error.fault {
                    SourceFault::AccessDenied => Self {
                        action: "allow the rotating function's role ssm:GetParameter and \
                                 ssm:GetParameterHistory on the parameter"
                            .into(),
                        ..of_source
                    },
                    SourceFault::NotFound
                    | SourceFault::NotSecure { .. }
                    | SourceFault::Decryption { .. }
                    | SourceFault::Superseded
                    | SourceFault::Pinned { .. }
                    | SourceFault::Throttled
                    | SourceFault::TimedOut
                    | SourceFault::Unreachable { .. }
                    | SourceFault::Failed { .. } => of_source,
                };
            }
            RotationError::Refused { .. } => (
                ProblemName::NotHomeAssistant,
                "look up the code in Home Assistant's log; the stored token stays in use",
            ),
            // The error of the home determines the action. The detail says that the error prevented the check of the
            // new token.
            RotationError::Unproven(BridgeError::Home(home)) if *home != HomeError::Rejected => {
                let of_home = Self::of_home(home);
                return Self::new(of_home.name, error, of_home.action).titled(of_home.title);
            }
            RotationError::Unproven(_) => (
                ProblemName::TokenRejected,
                "the stored token stays in use; run the rotation again",
            ),
            RotationError::NotStored(refusal) => {
                return Self::new(
                    ProblemName::TokenSourceUnavailable,
                    error,
                    not_stored(refusal),
                )
                .titled("The new token was not stored");
            }
            RotationError::StoredOrNot(_) => {
                return Self::new(ProblemName::TokenSourceUnavailable, error, LATER)
                    .titled("The new token may or may not have been stored");
            }
            RotationError::Table(_) => (
                ProblemName::Internal,
                "check that TABLE_NAME names a table that the function's role may use, and run the rotation again",
            ),
            RotationError::Unknown { .. } => (ProblemName::CommandOutcomeUnknown, LATER),
            RotationError::Overtaken | RotationError::LeaseLost | RotationError::Behind => {
                (ProblemName::Internal, LATER)
            }
            RotationError::OutOfTime => (ProblemName::DeadlineExceeded, LATER),
        };
        Self::new(name, error, action)
    }
}

/// Returns the action for a token that Parameter Store did not accept.
fn not_stored(refusal: &SourceError) -> Cow<'static, str> {
    match &refusal.fault {
        SourceFault::Throttled
        | SourceFault::TimedOut
        | SourceFault::Unreachable { .. }
        | SourceFault::Failed { .. } => Problem::of_source(refusal).action,
        SourceFault::NotFound
        | SourceFault::NotSecure { .. }
        | SourceFault::AccessDenied
        | SourceFault::Decryption { .. }
        | SourceFault::Superseded
        | SourceFault::Pinned { .. } => {
            "allow the rotating function's role ssm:PutParameter on the parameter and kms:Encrypt on its key".into()
        }
    }
}
