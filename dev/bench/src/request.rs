//! The requests that are measured: a command over the WebSocket, and requests to the home's REST API.

use hyper::body::Bytes;
use serde_json::{Value, json};
use testkit::callers;

use crate::command::{LIGHT, direct, turn_on};

/// A request that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A command over the WebSocket, by direct invocation.
    Command,
    /// An Alexa directive over the home's REST API, by direct invocation.
    Directive,
    /// A service call over the HTTP API and the home's REST API.
    Write,
    /// A read of one state over the HTTP API and the home's REST API.
    Read,
}

/// A request to the home's REST API.
pub(crate) struct RestRequest {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

impl Request {
    /// Returns the payload of the invocation. `jwt` is the caller's token for the HTTP API.
    pub(crate) fn payload(self, jwt: &str) -> Bytes {
        match (self, self.rest()) {
            (Self::Write | Self::Read, Some(rest)) => {
                let body = rest.body.as_ref();
                let event = callers::request(rest.method, &rest.path, Some(jwt), body);
                event.to_string().into()
            }
            (Self::Directive, _) => directive().to_string().into(),
            _ => direct(&turn_on()),
        }
    }

    /// Returns the request that the home gets. `None` for a command, which the home gets over the WebSocket.
    pub(crate) fn rest(self) -> Option<RestRequest> {
        let (method, path, body) = match self {
            Self::Command => return None,
            Self::Directive => (
                "POST",
                "/api/alexa/smart_home".to_owned(),
                Some(directive()),
            ),
            Self::Write => (
                "POST",
                "/api/services/light/turn_on".to_owned(),
                Some(json!({ "entity_id": LIGHT })),
            ),
            Self::Read => ("GET", format!("/api/states/{LIGHT}"), None),
        };
        Some(RestRequest { method, path, body })
    }

    /// Returns true if the request comes through the HTTP API, so that it needs a caller's token.
    pub(crate) fn needs_caller(self) -> bool {
        match self {
            Self::Command | Self::Directive => false,
            Self::Write | Self::Read => true,
        }
    }

    /// Returns the number of executions in the home for each request.
    pub(crate) fn executions(self) -> usize {
        match self {
            Self::Command | Self::Directive | Self::Write => 1,
            Self::Read => 0,
        }
    }

    /// Returns true if the response says that the home has done what the request asks for.
    pub(crate) fn is_done(self, response: &Value) -> bool {
        match self {
            Self::Command => {
                let result = &response["results"][0];
                result["outcome"] == "answered" && result["success"] == true
            }
            Self::Directive => response["event"]["header"]["name"] == "Response",
            Self::Write => response["statusCode"] == 200,
            Self::Read => {
                let body = response["body"].as_str().unwrap_or_default();
                response["statusCode"] == 200 && body.contains(LIGHT)
            }
        }
    }
}

fn directive() -> Value {
    json!({"directive": {
        "header": {
            "namespace": "Alexa.PowerController",
            "name": "TurnOn",
            "messageId": "1bd5d003-31b9-476f-ad03-71d471922820",
            "correlationToken": "dFMb0z+PgpgdDmluhJ1LddFvSqZ/jCc8ptlAKulUj90jSqg==",
            "payloadVersion": "3",
        },
        "endpoint": {
            "endpointId": LIGHT.replace('.', "#"),
            "scope": {"type": "BearerToken", "token": "a caller's token"},
            "cookie": {},
        },
        "payload": {},
    }})
}
