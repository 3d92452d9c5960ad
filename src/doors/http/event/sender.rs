//! The services that turn HTTP requests into events.

use crate::doors::http::answer::ReplyLimit;
use crate::doors::reply::MAX_REPLY_BYTES;
use crate::doors::trigger::Trigger;

/// The largest response that a load balancer accepts, minus a reserve for its headers.
const LOAD_BALANCER_BYTES: usize = (1 << 20) - 4_096;

/// A kind of service that turns HTTP requests into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A REST API of API Gateway, or an HTTP API with payload 1.0.
    RestApi,
    /// An HTTP API of API Gateway, or a function URL: payload 2.0.
    HttpApi,
    /// An Application Load Balancer.
    LoadBalancer,
}

impl Sender {
    pub(super) fn of(trigger: Trigger) -> Self {
        match trigger {
            Trigger::HttpV1 => Self::RestApi,
            Trigger::Alb => Self::LoadBalancer,
            Trigger::HttpV2
            | Trigger::FunctionUrl
            // These events carry no HTTP request.
            | Trigger::KeepWarm
            | Trigger::ParameterChange
            | Trigger::WebSocket
            | Trigger::Queue
            | Trigger::Alexa
            | Trigger::RotateToken
            | Trigger::Doctor
            | Trigger::Direct => Self::HttpApi,
        }
    }

    /// Returns the size limit of a response.
    pub(super) fn limit(self) -> ReplyLimit {
        match self {
            Self::LoadBalancer => ReplyLimit(LOAD_BALANCER_BYTES),
            Self::RestApi | Self::HttpApi => ReplyLimit(MAX_REPLY_BYTES),
        }
    }
}
