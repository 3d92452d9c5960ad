//! The frames for clients. Each frame has the members `type` and `id`, because clients of Home Assistant's protocol
//! stop at a frame without them.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::code::Code;
use crate::doors::reply::{Problem, rfc3339};
use crate::home::home_assistant::CommandError;
use crate::service::commands::CommandResult;
use crate::service::connections::Dialect;
use crate::service::failure::{Failure, MessageError, ProblemName};

/// The version of the envelope, which `auth_ok` reports.
const VERSION: u32 = 1;

/// Makes the frames of one invocation.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    /// The time in the frames, since the Unix epoch.
    pub(super) now: Duration,
}

/// The reason of a refusal, and its effect on the connection.
pub(super) struct Refusal<'a> {
    pub(super) failure: &'a Failure,
    pub(super) problem: &'a Problem,
    /// True if the connection is closed after the frame.
    pub(super) closes: bool,
}

#[derive(Serialize)]
struct HomeAssistantError<'a> {
    code: &'a str,
    message: &'a str,
}

impl Frames {
    fn time(self) -> String {
        rfc3339(self.now)
    }

    /// Tells a client that latchkey waits for its token. Clients of both dialects understand the frame.
    pub(super) fn auth_required(self, version: &str, left: Duration) -> String {
        json!({
            "type": "auth_required",
            "id": null,
            "ha_version": version,
            "reason": "unauthenticated",
            "expires_in": left.as_secs(),
            "timestamp": self.time(),
        })
        .to_string()
    }

    /// Tells a client of the envelope that its token expires or has expired.
    pub(super) fn expiry(self, reason: &str, left: Duration) -> String {
        json!({
            "type": "auth_required",
            "id": null,
            "reason": reason,
            "expires_in": left.as_secs(),
            "timestamp": self.time(),
        })
        .to_string()
    }

    /// Accepts a token.
    pub(super) fn auth_ok(
        self,
        dialect: Dialect,
        id: &str,
        version: &str,
        expires_at: Duration,
    ) -> String {
        match dialect {
            Dialect::HomeAssistant => {
                let version = json!(version);
                format!(r#"{{"type":"auth_ok","id":{id},"ha_version":{version}}}"#)
            }
            Dialect::Envelope => {
                let left = expires_at.saturating_sub(self.now).as_secs();
                let (time, version) = (json!(self.time()), json!(version));
                format!(
                    "{{\"type\":\"auth_ok\",\"id\":{id},\"timestamp\":{time},\"version\":{VERSION},\
                     \"expires_in\":{left},\"ha_version\":{version}}}"
                )
            }
        }
    }

    /// Answers a ping.
    pub(super) fn pong(self, dialect: Dialect, id: &str) -> String {
        match dialect {
            Dialect::HomeAssistant => format!(r#"{{"id":{id},"type":"pong"}}"#),
            Dialect::Envelope => {
                let time = json!(self.time());
                format!(r#"{{"type":"pong","id":{id},"timestamp":{time}}}"#)
            }
        }
    }

    /// Answers a message that succeeds without a result.
    pub(super) fn done(self, dialect: Dialect, id: &str) -> String {
        self.success(dialect, id, "null")
    }

    /// Answers a command.
    pub(super) fn result(self, dialect: Dialect, id: &str, result: &CommandResult) -> String {
        match (result.error(), dialect) {
            (None, _) => self.success(dialect, id, result.json().unwrap_or("null")),
            (Some((code, message)), Dialect::HomeAssistant) => failed(id, code, message),
            (Some((code, message)), Dialect::Envelope) => {
                let (time, outcome) = (json!(self.time()), json!(result.outcome()));
                let error = json!(HomeAssistantError { code, message });
                format!(
                    "{{\"type\":\"result\",\"id\":{id},\"timestamp\":{time},\"outcome\":{outcome},\
                     \"success\":false,\"error\":{error}}}"
                )
            }
        }
    }

    fn success(self, dialect: Dialect, id: &str, json: &str) -> String {
        match dialect {
            Dialect::HomeAssistant => {
                format!(r#"{{"id":{id},"type":"result","success":true,"result":{json}}}"#)
            }
            Dialect::Envelope => {
                let time = json!(self.time());
                format!(
                    "{{\"type\":\"result\",\"id\":{id},\"timestamp\":{time},\"outcome\":\"answered\",\
                     \"success\":true,\"result\":{json}}}"
                )
            }
        }
    }

    /// Answers a message that was refused. A client of Home Assistant's protocol gets a failed result, unless the
    /// connection is closed: its protocol has no other answer to a command.
    pub(super) fn refusal(self, dialect: Dialect, id: &str, refusal: &Refusal<'_>) -> String {
        let Refusal {
            failure,
            problem,
            closes,
        } = refusal;
        if dialect == Dialect::HomeAssistant && !closes {
            let message = format!("{}; {}", problem.detail, problem.action);
            return failed(id, home_assistant_code(failure, problem), &message);
        }
        let code = Code::of(failure, problem);
        let (number, name) = (code.number(), problem.name.name());
        let reconnect = *closes && code.invites_back();
        let [message, action] = [&*problem.detail, &*problem.action].map(|text| json!(text));
        let time = json!(self.time());
        format!(
            "{{\"type\":\"error\",\"id\":{id},\"code\":{number},\"name\":\"{name}\",\"message\":{message},\
             \"action\":{action},\"reconnect\":{reconnect},\"timestamp\":{time}}}"
        )
    }

    /// Refuses the token of a client of Home Assistant's protocol.
    pub(super) fn auth_invalid(self, id: &str, problem: &Problem) -> String {
        let message = json!(format!("{}; {}", problem.detail, problem.action));
        format!(r#"{{"type":"auth_invalid","id":{id},"message":{message}}}"#)
    }
}

/// Returns a failed result of Home Assistant's protocol.
fn failed(id: &str, code: &str, message: &str) -> String {
    let error = json!(HomeAssistantError { code, message });
    format!(r#"{{"id":{id},"type":"result","success":false,"error":{error}}}"#)
}

/// Returns the code that Home Assistant itself would use, if it has one, or else the name of the problem.
fn home_assistant_code(failure: &Failure, problem: &Problem) -> &'static str {
    match failure {
        Failure::Denied(_) => "unauthorized",
        Failure::Message(MessageError::IdReused) => "id_reuse",
        Failure::Message(MessageError::Command(CommandError::Streams(_))) => "not_supported",
        Failure::Message(_) => "invalid_format",
        _ => match problem.name {
            ProblemName::Unauthenticated => "unauthorized",
            name => name.name(),
        },
    }
}
