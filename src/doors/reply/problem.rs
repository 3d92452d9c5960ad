//! The only table from failures to problems: name, detail and action.
//!
//! The table lists every failure, without a catch-all arm. A new failure therefore does not compile before it has a
//! problem.

mod access;
mod connection;
mod rotation;
mod source;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::home::bridge::BridgeError;
use crate::home::home_assistant::{CommandError, HomeError};
use crate::home::homes::HomesError;
use crate::home::source::Origin;
use crate::home::token::TokenError;
use crate::service::commands::RequestError;
use crate::service::failure::{EventError, Failure, ProblemName};

/// The action for a token that is pinned to a version or label.
const UNPIN: &str = "store another token and remove the version or label from HA_TOKEN_PARAMETER, or move the label to \
 a version with a valid token";

/// The action for a token that the home rejected.
const NOT_RETRIED: &str = "create a new long-lived access token in Home Assistant (profile, security) and store it \
 in the parameter; latchkey does not try the rejected token again";

/// Returns the action for a command that cannot be sent.
fn of_command(error: &CommandError) -> &'static str {
    match error {
        CommandError::HasId => "send the command without its id",
        CommandError::ChangesSession(_) => {
            "leave the command out: latchkey authenticates and negotiates by itself"
        }
        CommandError::Streams(_) => "read the state instead, once or at intervals",
        CommandError::NotJson(_) | CommandError::NotAnObject(_) | CommandError::NoType => {
            "send a command of Home Assistant's WebSocket API, like {\"type\":\"get_states\"}"
        }
    }
}

/// A problem for the caller: RFC 9457 problem details with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the problem.
    pub name: ProblemName,
    /// The HTTP status, which is usually the status of the name.
    pub status: u16,
    /// The title, which is usually the title of the name.
    pub title: Cow<'static, str>,
    /// A description of the problem for people. The log contains the same text.
    pub detail: String,
    /// The action that solves the problem.
    pub action: Cow<'static, str>,
    /// The time to wait before a retry, if it is known.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// Returns the problem for a failure.
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Event(error) => Self::of_event(error),
            Failure::Request(failure @ RequestError::Command { error, .. }) => {
                Self::new(ProblemName::CommandInvalid, failure, of_command(error))
            }
            Failure::Request(error @ (RequestError::NotJson(_) | RequestError::Shape(_))) => {
                Self::new(
                    ProblemName::BadRequest,
                    error,
                    r#"send {"command":{"type":…}} or {"commands":[{"type":…},…]}"#,
                )
            }
            Failure::Member { .. } => Self::new(
                ProblemName::BadRequest,
                failure,
                "send the event through the service that creates such events",
            ),
            Failure::Directive(_) => Self::new(
                ProblemName::BadRequest,
                failure,
                "send the directive in the format of Alexa's Smart Home API",
            ),
            Failure::Message(error) => Self::of_message(error),
            Failure::Push(_) => Self::new(
                ProblemName::BadRequest,
                failure,
                "send an event as GET /openapi.json describes it",
            ),
            Failure::Connection(error) => Self::of_connection(error),
            Failure::Bridge(BridgeError::Token(error)) => Self::of_token(error),
            Failure::Bridge(BridgeError::Home(error)) => Self::of_home(error),
            Failure::Homes(error) => Self::of_homes(error),
            Failure::Rotation(error) => Self::of_rotation(error),
            Failure::KeyMismatch => Self::new(
                ProblemName::BadRequest,
                failure,
                "use a new key for each new request",
            ),
            Failure::ResultsNotKept => Self::new(
                ProblemName::MessageTooLarge,
                failure,
                "check the home's state; repeat the commands with a new key only if the state is wrong",
            ),
            Failure::ReplyTooLarge { .. } => Self::new(
                ProblemName::MessageTooLarge,
                failure,
                "request less data at once",
            ),
            Failure::Request(RequestError::TooLarge { .. }) | Failure::RequestTooLarge { .. } => {
                Self {
                    status: 413,
                    ..Self::new(
                        ProblemName::MessageTooLarge,
                        failure,
                        "send a smaller request; this request was not executed",
                    )
                }
            }
            Failure::RateLimited { wait } => Self {
                retry_after: Some(*wait),
                ..Self::new(
                    ProblemName::RateLimited,
                    failure,
                    "wait for the time in the header Retry-After, and send fewer requests",
                )
            },
            Failure::Idempotency(_) => Self::new(
                ProblemName::Internal,
                failure,
                "no command was run; try again, and if the problem persists, check that TABLE_NAME names a table that \
                 the function's role may use",
            ),
            Failure::OutcomeUnknown(_) => Self::new(
                ProblemName::CommandOutcomeUnknown,
                failure,
                "check the home's state before you send the request again",
            ),
            Failure::NoAlexa { .. } => Self::new(
                ProblemName::Internal,
                failure,
                "set `alexa:` with `smart_home:` in Home Assistant's configuration",
            ),
            Failure::Rest(_) => Self::new(
                ProblemName::BadRequest,
                failure,
                "send the request in the format of Home Assistant's REST API",
            ),
            Failure::Access(error) => Self::of_access(error),
            Failure::Denied(error) => Self::new(
                ProblemName::Forbidden,
                error,
                "ask the issuer of the token for this permission",
            ),
            Failure::NoTenant => Self::new(
                ProblemName::Forbidden,
                failure,
                "ask the issuer of the token for a token with a tenant",
            ),
            Failure::OtherMethod { .. } => Self {
                status: 405,
                ..Self::new(
                    ProblemName::NotFound,
                    failure,
                    "use one of the methods in the header Allow",
                )
            },
            Failure::NotFound { .. } => Self::new(
                ProblemName::NotFound,
                failure,
                "use one of the routes that GET /openapi.json describes",
            ),
        }
    }

    fn of_event(error: &EventError) -> Self {
        match error {
            EventError::NotJson(_) => Self::new(
                ProblemName::BadRequest,
                error,
                "send one JSON object in which each member occurs once",
            ),
            EventError::Unsupported { .. } => Self::new(
                ProblemName::UnsupportedEvent,
                error,
                "send {\"source\":\"keep-warm\"}, {\"command\":…}, {\"commands\":[…]}, or an HTTP event of API \
                 Gateway, a function URL or a load balancer",
            ),
        }
    }

    fn of_homes(error: &HomesError) -> Self {
        let (name, action) = match error {
            HomesError::NotNamed => (
                ProblemName::BadRequest,
                "name the home in the request: \"home\":\"…\"",
            ),
            HomesError::OnlyOne => (ProblemName::BadRequest, "leave `home` out"),
            HomesError::NoName => (
                ProblemName::BadRequest,
                "use the name under which the home's parameters are stored",
            ),
            HomesError::Unknown { .. } => {
                let action = "store the home's address and token below HOMES_PARAMETER_PREFIX, or name another home";
                return Self::new(ProblemName::NotFound, error, action)
                    .titled("The home does not exist");
            }
            HomesError::OtherTenant => (
                ProblemName::Forbidden,
                "leave `home` out, or name the tenant's own home",
            ),
            HomesError::Source(error) => return Self::of_source(error),
            HomesError::Address { .. } => (
                ProblemName::Internal,
                "store the home's address again, like http://homeassistant.local:8123",
            ),
        };
        Self::new(name, error, action)
    }

    fn of_token(error: &TokenError) -> Self {
        // A new token has a new version, and a pinned setting does not read the new version.
        let pinned = |origin: &Origin| origin.selector().is_some();
        let (name, action) = match error {
            TokenError::Source(error) => return Self::of_source(error),
            TokenError::Expired { origin, .. } if pinned(origin) => {
                (ProblemName::TokenExpired, UNPIN)
            }
            TokenError::Rejected { origin, .. } if pinned(origin) => {
                (ProblemName::TokenRejected, UNPIN)
            }
            TokenError::Malformed { .. } => (
                ProblemName::TokenMalformed,
                "store the long-lived access token again, exactly as Home Assistant shows it",
            ),
            TokenError::Expired { .. } => (
                ProblemName::TokenExpired,
                "create a new long-lived access token in Home Assistant (profile, security) and store it in the \
                 parameter",
            ),
            TokenError::Rejected { .. } => (ProblemName::TokenRejected, NOT_RETRIED),
        };
        Self::new(name, error, action)
    }

    fn of_home(error: &HomeError) -> Self {
        let (name, action) = match error {
            HomeError::Rejected => (ProblemName::TokenRejected, NOT_RETRIED),
            HomeError::Banned => (
                ProblemName::HomeBanned,
                "remove latchkey's address from ip_bans.yaml in Home Assistant's configuration and restart Home \
                 Assistant",
            ),
            HomeError::ProxyNotTrusted => (
                ProblemName::HomeProxyNotTrusted,
                "set http: use_x_forwarded_for and trusted_proxies in Home Assistant's configuration",
            ),
            HomeError::EdgeBlocked { has_path: true, .. } => (
                ProblemName::HomeEdgeBlocked,
                "the path in HA_URL (or in the home's /url) is the likely cause: remove the path unless Home Assistant \
                 is served below it; otherwise let latchkey through the tunnel, CDN or login page in front of the home",
            ),
            HomeError::EdgeBlocked {
                has_path: false, ..
            } => (
                ProblemName::HomeEdgeBlocked,
                "let latchkey through the tunnel, CDN or login page in front of the home, for all paths below /api/",
            ),
            HomeError::NotHomeAssistant { .. } => (
                ProblemName::NotHomeAssistant,
                "set HA_URL to the address of Home Assistant itself, with its port and path prefix",
            ),
            HomeError::Starting => (
                ProblemName::HomeStarting,
                "wait until Home Assistant has started, and try again",
            ),
            HomeError::Tls { .. } => (
                ProblemName::HomeTls,
                "check that the home's certificate is valid, names the host of HA_URL, and comes from a public \
                 authority",
            ),
            HomeError::SettingUnavailable(error) => return Self::of_source(error),
            HomeError::SettingInvalid { variable, .. } => {
                let action =
                    "correct the value of the parameter; the documentation describes its format";
                return Self::new(ProblemName::Internal, error, action).titled(capitalised(
                    format!("{variable}: the parameter is not usable"),
                ));
            }
            HomeError::Dns => (
                ProblemName::HomeUnreachable,
                "check that the host in HA_URL is a public name that resolves",
            ),
            HomeError::Unreachable { .. } | HomeError::Closed => (
                ProblemName::HomeUnreachable,
                "check that Home Assistant runs and that the function can reach its address",
            ),
            HomeError::Timeout { .. } => (
                ProblemName::HomeTimeout,
                "check that the home is up and that its connection is not overloaded, and try again",
            ),
            HomeError::DeadlineExceeded { .. } => (
                ProblemName::DeadlineExceeded,
                "try again; if the problem persists, lower the HA_*_TIMEOUT_MS settings or HA_RETRY_ATTEMPTS, or raise \
                 the function's timeout",
            ),
            HomeError::MessageTooLarge { .. } => (
                ProblemName::MessageTooLarge,
                "request less data, or raise HA_MAX_MESSAGE_BYTES",
            ),
        };
        Self::new(name, error, action)
    }

    fn new(name: ProblemName, detail: impl ToString, action: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            status: name.status(),
            title: Cow::Borrowed(name.title()),
            detail: capitalised(detail.to_string()),
            action: action.into(),
            retry_after: None,
        }
    }

    fn titled(self, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: title.into(),
            ..self
        }
    }

    /// Returns the problem as JSON for one request. `with_status_code` adds `statusCode`, which direct callers check.
    pub fn document<'a>(&'a self, request_id: &'a str, with_status_code: bool) -> Document<'a> {
        let status = self.status;
        Document {
            status_code: with_status_code.then_some(status),
            r#type: self.name.urn(),
            title: &self.title,
            status,
            detail: &self.detail,
            action: &self.action,
            request_id,
        }
    }
}

/// RFC 9457 problem details.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    #[serde(rename = "statusCode", skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    action: &'a str,
    request_id: &'a str,
}

/// Capitalises a sentence. This is safe, because no error begins with a name that a user chose and whose case matters.
fn capitalised(mut sentence: String) -> String {
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}
