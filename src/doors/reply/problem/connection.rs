//! The rows of the problem table for WebSocket connections and their messages.

use super::{Problem, of_command};
use crate::service::connections::ConnectionError;
use crate::service::failure::{MessageError, ProblemName};

impl Problem {
    pub(super) fn of_message(error: &MessageError) -> Self {
        match error {
            MessageError::Command(command) => {
                Self::new(ProblemName::CommandInvalid, error, of_command(command))
            }
            MessageError::IdReused => Self::new(
                ProblemName::BadRequest,
                error,
                "use a new id for each message; check the home's state before you repeat a command",
            ),
            MessageError::NoToken(_) | MessageError::AuthInArray => Self::new(
                ProblemName::BadRequest,
                error,
                "send the caller's token as one message of its own",
            ),
            MessageError::NotText(_)
            | MessageError::NotJson(_)
            | MessageError::NotAnObject(_)
            | MessageError::Count(_)
            | MessageError::NoType
            | MessageError::Id
            | MessageError::HomeAssistantId
            | MessageError::UnknownMember(_)
            | MessageError::Payload(_)
            | MessageError::TypeInPayload
            | MessageError::Resources => Self::new(
                ProblemName::BadRequest,
                error,
                "send one of the messages that GET /asyncapi.json describes",
            ),
        }
    }

    pub(super) fn of_connection(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::Gone => Self::new(
                ProblemName::Unauthenticated,
                error,
                "connect again and authenticate",
            ),
            ConnectionError::OtherPerson => Self::new(
                ProblemName::Forbidden,
                error,
                "open a new connection for the other token",
            ),
            ConnectionError::CallerFull(_) | ConnectionError::TenantFull(_) => Self::new(
                ProblemName::RateLimited,
                error,
                "close a connection that is not used, or wait until one has ended",
            ),
            ConnectionError::TooManySubscriptions(_) => Self::new(
                ProblemName::RateLimited,
                error,
                "end subscriptions that are not needed",
            ),
            ConnectionError::TooManyMessages { wait, .. } => Self {
                retry_after: Some(*wait),
                ..Self::new(ProblemName::RateLimited, error, "send fewer messages")
            },
            ConnectionError::TooManyAttempts { wait } => Self {
                retry_after: Some(*wait),
                ..Self::new(
                    ProblemName::RateLimited,
                    error,
                    "wait, and connect with a valid token",
                )
            },
            ConnectionError::Registry(_) => Self::new(
                ProblemName::Internal,
                error,
                "check that TABLE_NAME names a table with the index by_due, and that the function's role may use both",
            ),
        }
    }
}
