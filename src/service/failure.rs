//! Everything that can end an invocation.

mod problem_name;

use std::time::Duration;

pub use problem_name::ProblemName;

use crate::base::json::{JsonError, MemberError};
use crate::home::bridge::BridgeError;
use crate::home::home_assistant::{BrokenAnswer, HomeError};
use crate::home::homes::HomesError;
use crate::service::access::{AccessError, Denied, RestError};
use crate::service::commands::RequestError;
use crate::service::idempotency::StoreError;
use crate::service::rotation::RotationError;

/// An event that no door serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON.
    #[error("the payload is not usable JSON ({0})")]
    NotJson(#[from] JsonError),
    /// JSON, but not an event latchkey knows.
    #[error("no event latchkey knows: {seen}")]
    Unsupported {
        /// What stands out in it, without values that could be secret.
        seen: String,
    },
}

/// Everything that can go wrong with an invocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The payload is no event latchkey serves.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The request is not what it should be.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// An event of a known kind whose members are not what the sender's documentation says.
    #[error("the {kind} event cannot be used: {error}")]
    Member {
        /// Its kind.
        kind: &'static str,
        /// The member that cannot be used.
        error: MemberError,
    },
    /// A directive of Alexa's with a member that cannot be read.
    #[error("the directive cannot be used: {0}")]
    Directive(MemberError),
    /// No command could be run.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// There is no home to serve the request.
    #[error(transparent)]
    Homes(#[from] HomesError),
    /// A rotation went no further.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The idempotency key stands for other commands.
    #[error("this `idempotency_key` was used for other commands")]
    KeyMismatch,
    /// The commands of this idempotency key were run, and the results were too large to keep.
    #[error(
        "the commands of this `idempotency_key` were run before, and their results were too large to keep"
    )]
    ResultsNotKept,
    /// What was asked for was done, and the answer is larger than can be carried.
    #[error(
        "the request was carried out, but its answer has more than the {limit_bytes} bytes that can be sent"
    )]
    ReplyTooLarge {
        /// What Lambda, or whoever invoked it, carries.
        limit_bytes: usize,
    },
    /// The request is larger than Lambda can carry, so it is not looked at.
    #[error("the request's body has more than {limit_bytes} bytes")]
    RequestTooLarge {
        /// What it may have.
        limit_bytes: usize,
    },
    /// The caller has asked for more than their plan allows for now.
    #[error("the caller's plan allows no more requests for the next {} ms", wait.as_millis())]
    RateLimited {
        /// When there is room again.
        wait: Duration,
    },
    /// The record of an idempotency key could not be made, so nothing was run.
    #[error(transparent)]
    Idempotency(#[from] StoreError),
    /// A request to the home's REST API was sent and not answered.
    #[error("the request was sent and may have been carried out, but no answer came: {0}")]
    OutcomeUnknown(HomeError),
    /// A request to the home's REST API that could mean more than one thing.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The home takes no directives of Alexa's.
    #[error(
        "Home Assistant answered the directive with status {status}: its `alexa` integration is probably not set up"
    )]
    NoAlexa {
        /// Its status.
        status: u16,
    },
    /// The caller is not known.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller's token names no tenant, and so no home.
    #[error("several homes are served here, and the caller's token names no tenant")]
    NoTenant,
    /// A route, but not with this method.
    #[error("the route {path} does not take {method}")]
    OtherMethod {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// No such route.
    #[error("no route for {method} {path}")]
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
            // Nothing was changed, so nothing is lost but the answer.
            false => Self::Bridge(broken.error.into()),
        }
    }
}

impl Failure {
    /// Where on the way it happened, for the log.
    pub(crate) fn stage(&self) -> String {
        match self {
            Self::Event(_) | Self::Member { .. } | Self::Directive(_) => "trigger".into(),
            Self::Request(_)
            | Self::RequestTooLarge { .. }
            | Self::Rest(_)
            | Self::OtherMethod { .. }
            | Self::NotFound { .. } => "request".into(),
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
