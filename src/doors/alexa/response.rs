//! Responses to Alexa.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::directive::{AUTHORIZATION, Directive};
use crate::doors::reply::Problem;
use crate::service::failure::{Failure, ProblemName};

/// The response to a directive.
#[derive(Debug)]
pub enum AlexaReply {
    /// The home's response.
    Home(Box<RawValue>),
    /// latchkey's error response, if the home gave no valid response.
    Error(Box<ErrorResponse>),
}

impl Serialize for AlexaReply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Home(answer) => answer.serialize(serializer),
            Self::Error(response) => response.serialize(serializer),
        }
    }
}

/// A failure in Alexa's format.
#[derive(Debug, Serialize)]
pub struct ErrorResponse {
    event: Event,
}

#[derive(Debug, Serialize)]
struct Event {
    header: Header,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoint>,
    payload: Payload,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    namespace: &'static str,
    name: &'static str,
    message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_token: Option<String>,
    payload_version: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    endpoint_id: String,
}

#[derive(Debug, Serialize)]
struct Payload {
    r#type: &'static str,
    message: String,
}

impl ErrorResponse {
    /// Creates the response to a failed directive. Alexa's authorization interface has only one kind of error.
    pub fn new(
        directive: &Directive,
        failure: &Failure,
        problem: Problem,
        request_id: &str,
    ) -> Self {
        let (namespace, kind) = match (directive.is_authorization(), failure) {
            (true, _) => (AUTHORIZATION, "ACCEPT_GRANT_FAILED"),
            (false, Failure::Directive(_) | Failure::Rest(_)) => ("Alexa", "INVALID_DIRECTIVE"),
            (false, _) => ("Alexa", kind(problem.name)),
        };
        Self {
            event: Event {
                header: Header {
                    namespace,
                    name: "ErrorResponse",
                    message_id: request_id.to_owned(),
                    correlation_token: directive.correlation_token().map(str::to_owned),
                    payload_version: "3",
                },
                endpoint: directive.endpoint_id().map(|id| Endpoint {
                    endpoint_id: id.to_owned(),
                }),
                payload: Payload {
                    r#type: kind,
                    message: problem.detail,
                },
            },
        }
    }
}

/// Returns Alexa's type of a problem. Alexa's bridge is the home, and Alexa's credential is the user's, not the home's
/// token.
fn kind(name: ProblemName) -> &'static str {
    match name {
        ProblemName::Unauthenticated | ProblemName::Forbidden => "INVALID_AUTHORIZATION_CREDENTIAL",
        ProblemName::HomeBanned
        | ProblemName::HomeUnreachable
        | ProblemName::HomeStarting
        | ProblemName::HomeTimeout
        | ProblemName::HomeTls
        | ProblemName::HomeEdgeBlocked
        | ProblemName::HomeProxyNotTrusted
        | ProblemName::NotHomeAssistant
        | ProblemName::DeadlineExceeded => "BRIDGE_UNREACHABLE",
        ProblemName::RateLimited => "RATE_LIMIT_EXCEEDED",
        ProblemName::TokenMissing
        | ProblemName::TokenMalformed
        | ProblemName::TokenExpired
        | ProblemName::TokenRejected
        | ProblemName::TokenSourceUnavailable
        | ProblemName::CommandInvalid
        | ProblemName::CommandOutcomeUnknown
        | ProblemName::MessageTooLarge
        | ProblemName::BadRequest
        | ProblemName::NotFound
        | ProblemName::UnsupportedEvent
        | ProblemName::Internal => "INTERNAL_ERROR",
    }
}
