//! THE table from failure to problem: name, what happened, and what to do about it.
//!
//! Every failure there is stands here, matched without a catch-all arm, so a new one does not compile until somebody
//! has decided what the caller is told.

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
use crate::service::access::AccessError;
use crate::service::commands::RequestError;
use crate::service::failure::{EventError, Failure, ProblemName};

/// The advice for a token that a version or label pins.
const UNPIN: &str = "store another token and take the version or label out of HA_TOKEN_PARAMETER, or move the \
 label to a version with a good token";

/// The advice for a command that cannot be sent.
fn of_command(error: &CommandError) -> &'static str {
    match error {
        CommandError::HasId => "send the command without its id",
        CommandError::ChangesSession(_) => {
            "leave it out: latchkey authenticates and negotiates by itself"
        }
        CommandError::Streams(_) => "ask for the state instead, once or at intervals",
        CommandError::NotJson(_) | CommandError::NotAnObject(_) | CommandError::NoType => {
            "send a command of Home Assistant's WebSocket API, like {\"type\":\"get_states\"}"
        }
    }
}

/// What went wrong, for the caller: RFC 9457 problem details with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which problem.
    pub name: ProblemName,
    /// Its HTTP status, which is mostly the one that goes with the name.
    pub status: u16,
    /// What went wrong in a few words: mostly what goes with the name.
    pub title: Cow<'static, str>,
    /// What happened, for people: also what the log says.
    pub detail: String,
    /// What to do about it.
    pub action: Cow<'static, str>,
    /// How long to wait before trying again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// The table.
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
                "send events through the service that makes them",
            ),
            Failure::Directive(_) => Self::new(
                ProblemName::BadRequest,
                failure,
                "send directives as Alexa's Smart Home API has them",
            ),
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
                "look at the home's state; repeat the commands under a new key only if it is not as it should be",
            ),
            Failure::ReplyTooLarge { .. } => Self::new(
                ProblemName::MessageTooLarge,
                failure,
                "ask for less in one request",
            ),
            Failure::Request(RequestError::TooLarge { .. }) | Failure::RequestTooLarge { .. } => {
                Self {
                    status: 413,
                    ..Self::new(
                        ProblemName::MessageTooLarge,
                        failure,
                        "send less in one request; nothing was done",
                    )
                }
            }
            Failure::RateLimited { wait } => Self {
                retry_after: Some(*wait),
                ..Self::new(
                    ProblemName::RateLimited,
                    failure,
                    "wait as long as the header Retry-After says, and send less often",
                )
            },
            Failure::Idempotency(_) => Self::new(
                ProblemName::Internal,
                failure,
                "nothing was run; try again, and if it stays, see that TABLE_NAME names a table that the \
                 function's role may use",
            ),
            Failure::OutcomeUnknown(_) => Self::new(
                ProblemName::CommandOutcomeUnknown,
                failure,
                "look at the home's state before sending it again",
            ),
            Failure::NoAlexa { .. } => Self::new(
                ProblemName::Internal,
                failure,
                "set `alexa:` with `smart_home:` in Home Assistant's configuration",
            ),
            Failure::Rest(_) => Self::new(
                ProblemName::BadRequest,
                failure,
                "send the request as Home Assistant's REST API has it",
            ),
            Failure::Access(error) => Self::of_access(error),
            Failure::Denied(error) => Self::new(
                ProblemName::Forbidden,
                error,
                "ask whoever issues the tokens for this permission",
            ),
            Failure::NoTenant => Self::new(
                ProblemName::Forbidden,
                failure,
                "ask whoever issues the tokens for one that names the tenant",
            ),
            Failure::OtherMethod { .. } => Self {
                status: 405,
                ..Self::new(
                    ProblemName::NotFound,
                    failure,
                    "use one of the methods that the header Allow names",
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
                "send one JSON object, each member once",
            ),
            EventError::Unsupported { .. } => Self::new(
                ProblemName::UnsupportedEvent,
                error,
                "send {\"source\":\"keep-warm\"}, {\"command\":…}, {\"commands\":[…]}, or an HTTP event of API \
                 Gateway, a function URL or a load balancer",
            ),
        }
    }

    fn of_access(error: &AccessError) -> Self {
        let (name, action) = match error {
            AccessError::Missing => (
                ProblemName::Unauthenticated,
                "send a token: Authorization: Bearer …",
            ),
            AccessError::NotSetUp => (
                ProblemName::Unauthenticated,
                "set CALLER_JWT_ISSUER, CALLER_JWT_AUDIENCE and where the keys are, or invoke the function directly",
            ),
            AccessError::KeysUnavailable(error) => return Self::of_keys(error),
            AccessError::TwoTokens => (ProblemName::Unauthenticated, "send one token"),
            AccessError::Origin => (
                ProblemName::Unauthenticated,
                "send the token in the header Authorization, or name the page's origin in CORS_ORIGINS",
            ),
            AccessError::TooLarge => (
                ProblemName::Unauthenticated,
                "get a token with fewer or shorter permissions",
            ),
            AccessError::Malformed(_)
            | AccessError::Algorithm
            | AccessError::UnknownKey
            | AccessError::Signature
            | AccessError::Claim(_)
            | AccessError::NotYet
            | AccessError::Expired => (
                ProblemName::Unauthenticated,
                "get a new token from whoever issues them for this latchkey",
            ),
        };
        Self::new(name, error, action)
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
                "name the home as its parameters are named",
            ),
            HomesError::Unknown { .. } => {
                let action = "store the home's address and token below HOMES_PARAMETER_PREFIX, or name another home";
                return Self::new(ProblemName::NotFound, error, action)
                    .titled("There is no such home");
            }
            HomesError::OtherTenant => (
                ProblemName::Forbidden,
                "leave `home` out, or name the tenant's own",
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
        // Another token would be another version, which a pinned setting does not read.
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
                "make a new long-lived access token in Home Assistant (profile, security) and store it in the \
                 parameter",
            ),
            TokenError::Rejected { .. } => (
                ProblemName::TokenRejected,
                "make a new long-lived access token in Home Assistant (profile, security) and store it in the \
                 parameter; the rejected one is not tried again",
            ),
        };
        Self::new(name, error, action)
    }

    fn of_home(error: &HomeError) -> Self {
        let (name, action) = match error {
            HomeError::Rejected => (
                ProblemName::TokenRejected,
                "make a new long-lived access token in Home Assistant (profile, security) and store it in the \
                 parameter; the rejected one is not tried again",
            ),
            HomeError::Banned => (
                ProblemName::HomeBanned,
                "remove this address from ip_bans.yaml in Home Assistant's configuration and restart it",
            ),
            HomeError::ProxyNotTrusted => (
                ProblemName::HomeProxyNotTrusted,
                "set http: use_x_forwarded_for and trusted_proxies in Home Assistant's configuration",
            ),
            HomeError::EdgeBlocked { has_path: true, .. } => (
                ProblemName::HomeEdgeBlocked,
                "the path in HA_URL (or in the home's /url) is the likely cause: leave the path out unless Home \
                Assistant is served below it; \
                 else let latchkey through the tunnel, CDN or login page in front of the home",
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
                "see that the home's certificate is valid, names the host of HA_URL, and comes from a public \
                 authority",
            ),
            HomeError::SettingUnavailable(error) => return Self::of_source(error),
            HomeError::SettingInvalid { variable, .. } => {
                let action = "correct the value of the parameter, as the README describes it";
                return Self::new(ProblemName::Internal, error, action).titled(capitalised(
                    format!("{variable}: the parameter is not usable"),
                ));
            }
            HomeError::Dns => (
                ProblemName::HomeUnreachable,
                "see that the host in HA_URL is a public name that resolves",
            ),
            HomeError::Unreachable { .. } | HomeError::Closed => (
                ProblemName::HomeUnreachable,
                "see that Home Assistant runs and that its address is open to the function",
            ),
            HomeError::Timeout { .. } => (
                ProblemName::HomeTimeout,
                "see that the home is up and its connection not overloaded, and try again",
            ),
            HomeError::DeadlineExceeded { .. } => (
                ProblemName::DeadlineExceeded,
                "raise the function's timeout above the sum of the HA_*_TIMEOUT_MS settings, or try again",
            ),
            HomeError::MessageTooLarge { .. } => (
                ProblemName::MessageTooLarge,
                "ask for less, or raise HA_MAX_MESSAGE_BYTES",
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

    /// The problem as JSON for one request. `with_status_code` adds `statusCode`, which direct callers look at.
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

/// A sentence with a capital. Errors begin with a word of ours, never with a name that somebody typed: names are
/// case-sensitive.
fn capitalised(mut sentence: String) -> String {
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}
