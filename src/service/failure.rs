//! The errors that can end an invocation.

mod message;
mod problem_name;

use std::time::Duration;

pub use message::MessageError;
pub use problem_name::ProblemName;

use crate::base::json::{JsonError, MemberError};
use crate::home::bridge::BridgeError;
use crate::home::home_assistant::{BrokenAnswer, HomeError};
use crate::home::homes::HomesError;
use crate::service::access::{AccessError, Denied, RestError};
use crate::service::commands::RequestError;
use crate::service::connections::ConnectionError;
use crate::service::idempotency::StoreError;
use crate::service::rotation::RotationError;

/// The error of a payload that latchkey does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The payload is not JSON.
    #[error("the payload cannot be parsed as JSON ({0})")]
    NotJson(#[from] JsonError),
    /// The payload is JSON, but not an event that latchkey supports.
    #[error("the payload is not an event that latchkey supports: {seen}")]
    Unsupported {
        /// The distinctive parts of the payload, without values that may be secret.
        seen: String,
    },
}

/// An error that ends an invocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The payload is not an event that latchkey supports.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The command request is invalid.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A member of a supported event differs from the sender's documentation.
    #[error("the {kind} event is invalid: {error}")]
    Member {
        /// The kind of the event.
        kind: &'static str,
        /// The error in the member.
        error: MemberError,
    },
    /// A member of an Alexa directive is invalid.
    #[error("the directive is invalid: {0}")]
    Directive(MemberError),
    /// A message on a WebSocket connection is invalid.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// An event that a home pushes is invalid.
    #[error("the event is invalid: {0}")]
    Push(MemberError),
    /// A WebSocket connection, or a message on it, is refused.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The home was not available. No command was run.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// No home serves the request.
    #[error(transparent)]
    Homes(#[from] HomesError),
    /// A rotation stopped with an error.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The idempotency key was used for other commands.
    #[error("the `idempotency_key` was used for other commands")]
    KeyMismatch,
    /// The commands of this idempotency key were run, but their results were not kept.
    #[error(
        "the commands of this `idempotency_key` were run before, but their results were too large to keep"
    )]
    ResultsNotKept,
    /// The request was executed, but its response is too large to send.
    #[error(
        "the response is larger than the {limit_bytes} bytes that can be sent; the request was executed"
    )]
    ReplyTooLarge {
        /// The maximum size that Lambda or the sender of the event accepts.
        limit_bytes: usize,
    },
    /// The request is larger than a Lambda payload. It was not read.
    #[error("the body of the request is larger than {limit_bytes} bytes")]
    RequestTooLarge {
        /// The maximum size of a body.
        limit_bytes: usize,
    },
    /// The caller exceeded the rate limit of their plan.
    #[error("the rate limit of the caller's plan is exceeded; retry in {} ms", wait.as_millis())]
    RateLimited {
        /// The time until the request would be allowed.
        wait: Duration,
    },
    /// The record of an idempotency key could not be read or written. No command was run.
    #[error(transparent)]
    Idempotency(#[from] StoreError),
    /// A request to the home's REST API was sent, and the home did not answer.
    #[error("the request was sent and may have been executed, but the home did not answer: {0}")]
    OutcomeUnknown(HomeError),
    /// A request to the home's REST API is ambiguous.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The home does not accept Alexa directives.
    #[error(
        "Home Assistant answered the directive with status {status}: its `alexa` integration is probably not set up"
    )]
    NoAlexa {
        /// The status of the home's response.
        status: u16,
    },
    /// The caller is unauthenticated.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The caller is not authorised.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller's token has no tenant, so latchkey cannot select a home.
    #[error("the caller's token has no tenant, and several homes are served")]
    NoTenant,
    /// The route exists, but not for this method.
    #[error("the route {path} does not accept the method {method}")]
    OtherMethod {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// The route does not exist.
    #[error("the route {method} {path} does not exist")]
    NotFound {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
}

impl From<BrokenAnswer> for Failure {
    fn from(broken: BrokenAnswer) -> Self {
        match broken.may_have_acted {
            true => Self::OutcomeUnknown(broken.error),
            // The request changed nothing. Only its response is lost.
            false => Self::Bridge(broken.error.into()),
        }
    }
}

impl Failure {
    /// Returns the stage of processing at which the failure happened, for the log.
    pub(crate) fn stage(&self) -> String {
        match self {
            Self::Event(_) | Self::Member { .. } | Self::Directive(_) => "trigger".into(),
            Self::Request(_)
            | Self::Message(_)
            | Self::Push(_)
            | Self::RequestTooLarge { .. }
            | Self::Rest(_)
            | Self::OtherMethod { .. }
            | Self::NotFound { .. } => "request".into(),
            Self::Connection(_) => "connections".into(),
            Self::OutcomeUnknown(_) => "command".into(),
            Self::NoAlexa { .. } => "home".into(),
            Self::ReplyTooLarge { .. } => "reply".into(),
            Self::KeyMismatch | Self::ResultsNotKept | Self::Idempotency(_) => "idempotency".into(),
            Self::Access(_)
            | Self::Denied(_)
            | Self::RateLimited { .. }
            | Self::NoTenant
            | Self::Homes(HomesError::OtherTenant) => "access".into(),
            Self::Homes(_) => "homes".into(),
            Self::Rotation(_) => "rotation".into(),
            Self::Bridge(BridgeError::Token(_)) => "token".into(),
            Self::Bridge(BridgeError::Home(
                HomeError::Timeout { stage }
                | HomeError::DeadlineExceeded { stage }
                | HomeError::Unreachable { stage, .. },
            )) => stage.to_string(),
            Self::Bridge(BridgeError::Home(_)) => "home".into(),
        }
    }
}
