//! Answers: THE table from outcome or error to reply, problem type, status and log category.
//!
//! Every failure there is stands in [`Problem::of`], matched without a catch-all arm, so a new one does not compile until
//! somebody has decided what the caller is told.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::bridge::{BridgeError, Warmth};
use crate::commands::RequestError;
use crate::home_assistant::{Answer, CommandFailure, HomeError, Outcome};
use crate::token::{SourceError, TokenError};
use crate::trigger::TriggerError;

/// Everything that can go wrong with an invocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The payload is no event latchkey serves.
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    /// The request is not what it should be.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// An event of a known kind whose members are not what the sender's documentation says.
    #[error("the event is not a well-formed {kind} event")]
    Event {
        /// Its kind.
        kind: &'static str,
    },
    /// No command could be run.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The caller has not proven who they are.
    #[error("the caller has not proven who they are")]
    Unauthenticated,
    /// No such route, or no such method on it.
    #[error("no route for {method} {path}")]
    NotFound {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
}

impl Failure {
    /// Where on the way it happened, for the log.
    pub(crate) fn stage(&self) -> String {
        match self {
            Self::Trigger(_) | Self::Event { .. } => "trigger".into(),
            Self::Request(_) | Self::NotFound { .. } => "request".into(),
            Self::Unauthenticated => "access".into(),
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

/// The stable names of problems: `urn:latchkey:problem:<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described by its title, below")]
pub enum ProblemName {
    TokenMissing,
    TokenMalformed,
    TokenExpired,
    TokenRejected,
    TokenSourceUnavailable,
    HomeBanned,
    HomeUnreachable,
    HomeStarting,
    HomeTimeout,
    HomeTls,
    HomeEdgeBlocked,
    HomeProxyNotTrusted,
    NotHomeAssistant,
    CommandInvalid,
    CommandOutcomeUnknown,
    MessageTooLarge,
    Unauthenticated,
    BadRequest,
    NotFound,
    UnsupportedEvent,
    DeadlineExceeded,
}

impl ProblemName {
    /// Name, title and HTTP status.
    fn row(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::TokenMissing => ("token-missing", "No token is stored", 503),
            Self::TokenMalformed => ("token-malformed", "The stored text is not a token", 503),
            Self::TokenExpired => ("token-expired", "The token has expired", 503),
            Self::TokenRejected => ("token-rejected", "Home Assistant rejected the token", 503),
            Self::TokenSourceUnavailable => (
                "token-source-unavailable",
                "The token could not be read",
                503,
            ),
            Self::HomeBanned => ("home-banned", "Home Assistant has banned this address", 503),
            Self::HomeUnreachable => ("home-unreachable", "The home could not be reached", 503),
            Self::HomeStarting => ("home-starting", "Home Assistant is starting", 503),
            Self::HomeTimeout => ("home-timeout", "The home did not answer in time", 503),
            Self::HomeTls => ("home-tls", "No trusted TLS connection to the home", 503),
            Self::HomeEdgeBlocked => (
                "home-edge-blocked",
                "Something in front of the home answered in its place",
                503,
            ),
            Self::HomeProxyNotTrusted => (
                "home-proxy-not-trusted",
                "Home Assistant does not trust the proxy in front of it",
                503,
            ),
            Self::NotHomeAssistant => (
                "not-home-assistant",
                "What answers is not Home Assistant",
                503,
            ),
            Self::CommandInvalid => ("command-invalid", "The command cannot be sent", 400),
            Self::CommandOutcomeUnknown => (
                "command-outcome-unknown",
                "The command may or may not have been executed",
                504,
            ),
            Self::MessageTooLarge => ("message-too-large", "The answer is too large", 502),
            Self::Unauthenticated => ("unauthenticated", "Who is calling is not known", 401),
            Self::BadRequest => ("bad-request", "The request is not usable", 400),
            Self::NotFound => ("not-found", "There is nothing here", 404),
            Self::UnsupportedEvent => ("unsupported-event", "No event latchkey serves", 400),
            Self::DeadlineExceeded => ("deadline-exceeded", "The invocation ran out of time", 504),
        }
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status it goes with.
    pub fn status(self) -> u16 {
        self.row().2
    }
}

/// What went wrong, for the caller: RFC 9457 problem details with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which problem.
    pub name: ProblemName,
    /// What happened, for people.
    pub detail: String,
    /// What to do about it.
    pub action: Cow<'static, str>,
}

impl Problem {
    /// The table.
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Trigger(error) => Self::of_trigger(error),
            Failure::Request(error @ RequestError::Command { .. }) => Self::new(
                ProblemName::CommandInvalid,
                error,
                "send a command of Home Assistant's WebSocket API without its id",
            ),
            Failure::Request(error @ (RequestError::NotJson(_) | RequestError::Shape(_))) => {
                Self::new(
                    ProblemName::BadRequest,
                    error,
                    r#"send {"command":{"type":…}} or {"commands":[{"type":…},…]}"#,
                )
            }
            Failure::Event { .. } => Self::new(
                ProblemName::BadRequest,
                failure,
                "send events through the service that makes them",
            ),
            Failure::Bridge(BridgeError::Token(error)) => Self::of_token(error),
            Failure::Bridge(BridgeError::Home(error)) => Self::of_home(error),
            Failure::Unauthenticated => Self::new(
                ProblemName::Unauthenticated,
                failure,
                "this latchkey has no way yet to prove callers over HTTP; invoke the function directly",
            ),
            Failure::NotFound { .. } => Self::new(
                ProblemName::NotFound,
                failure,
                "use POST /commands or GET /health",
            ),
        }
    }

    fn of_trigger(error: &TriggerError) -> Self {
        match error {
            TriggerError::NotJson(_) => Self::new(
                ProblemName::BadRequest,
                error,
                "send one JSON object, each member once",
            ),
            TriggerError::Unsupported { .. } => Self::new(
                ProblemName::UnsupportedEvent,
                error,
                r#"send {"source":"keep-warm"}, {"command":…}, {"commands":[…]}, or an HTTP event of API Gateway, a function URL or a load balancer"#,
            ),
        }
    }

    fn of_token(error: &TokenError) -> Self {
        let (name, action) = match error {
            TokenError::Source(error) => return Self::of_source(error),
            TokenError::Malformed(_) => (
                ProblemName::TokenMalformed,
                "store the long-lived access token again, exactly as Home Assistant shows it",
            ),
            TokenError::Expired { .. } => (
                ProblemName::TokenExpired,
                "make a new long-lived access token in Home Assistant (profile, security) and store it in the parameter",
            ),
            TokenError::Rejected { .. } => (
                ProblemName::TokenRejected,
                "make a new long-lived access token in Home Assistant (profile, security) and store it in the parameter; the rejected one is not tried again",
            ),
        };
        Self::new(name, error, action)
    }

    fn of_source(error: &SourceError) -> Self {
        use ProblemName::TokenSourceUnavailable as Unavailable;
        let (name, action) = match error {
            SourceError::NotFound { .. } => (
                ProblemName::TokenMissing,
                "store the token as a SecureString of that name, or set HA_TOKEN_PARAMETER to the name it has",
            ),
            SourceError::NotSecure { .. } => (
                Unavailable,
                "delete the parameter and store the token as a SecureString; then revoke it in Home Assistant, since it lay in clear text",
            ),
            SourceError::AccessDenied { .. } => (
                Unavailable,
                "allow the function's role ssm:GetParameter on exactly this parameter",
            ),
            SourceError::Decryption { .. } => (
                Unavailable,
                "allow the function's role kms:Decrypt on the parameter's key, and see that the key is enabled",
            ),
            SourceError::Throttled => (
                Unavailable,
                "try again shortly; if it stays, raise TOKEN_TTL_SECONDS or Parameter Store's throughput",
            ),
            SourceError::TimedOut => (
                Unavailable,
                "try again; if it stays, see that the function's network reaches Parameter Store (a VPC needs an endpoint or NAT)",
            ),
            SourceError::Unreachable { .. } => (
                Unavailable,
                "see that the function has a role and a region and that its network reaches Parameter Store",
            ),
            SourceError::Failed { .. } => (
                Unavailable,
                "look the error code up in the documentation of Parameter Store",
            ),
        };
        Self::new(name, error, action)
    }

    fn of_home(error: &HomeError) -> Self {
        let (name, action) = match error {
            HomeError::Rejected => (
                ProblemName::TokenRejected,
                "make a new long-lived access token in Home Assistant (profile, security) and store it in the parameter; the rejected one is not tried again",
            ),
            HomeError::Banned => (
                ProblemName::HomeBanned,
                "remove this address from ip_bans.yaml in Home Assistant's configuration and restart it",
            ),
            HomeError::ProxyNotTrusted => (
                ProblemName::HomeProxyNotTrusted,
                "set http: use_x_forwarded_for and trusted_proxies in Home Assistant's configuration",
            ),
            HomeError::EdgeBlocked { .. } => (
                ProblemName::HomeEdgeBlocked,
                "let latchkey through the tunnel, CDN or login page in front of the home, for /api/config and /api/websocket",
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
                "see that the home's certificate is valid, names the host of HA_URL, and comes from a public authority",
            ),
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

    fn new(name: ProblemName, detail: impl ToString, action: &'static str) -> Self {
        let mut detail = detail.to_string();
        if let Some(first) = detail.get(..1) {
            detail = first.to_uppercase() + &detail[1..];
        }
        Self {
            name,
            detail,
            action: Cow::Borrowed(action),
        }
    }

    /// The problem as JSON for one request. `with_status_code` adds `statusCode`, which direct callers look at.
    pub fn document<'a>(&'a self, request_id: &'a str, with_status_code: bool) -> Document<'a> {
        let (name, title, status) = self.name.row();
        Document {
            status_code: with_status_code.then_some(status),
            r#type: format!("urn:latchkey:problem:{name}"),
            title,
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
    title: &'static str,
    status: u16,
    detail: &'a str,
    action: &'a str,
    request_id: &'a str,
}

/// The answer to commands.
#[derive(Debug, Serialize)]
pub struct CommandsReply {
    #[serde(rename = "statusCode", skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    results: Vec<CommandResult>,
}

/// What became of one command.
#[derive(Debug, Serialize)]
struct CommandResult {
    outcome: &'static str,
    success: bool,
    #[serde(skip_serializing_if = "Content::is_error", rename = "result")]
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CommandErrorReply>,
}

#[derive(Debug)]
enum Content {
    Result(Option<Box<RawValue>>),
    Error,
}

impl Content {
    fn is_error(&self) -> bool {
        matches!(self, Self::Error)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Result(Some(raw)) => raw.serialize(serializer),
            Self::Result(None) | Self::Error => serializer.serialize_none(),
        }
    }
}

#[derive(Debug, Serialize)]
struct CommandErrorReply {
    code: Cow<'static, str>,
    message: String,
}

impl CommandsReply {
    /// The reply to a batch. `with_status_code` adds `statusCode`, which direct callers look at.
    pub fn new(outcomes: Vec<Outcome>, with_status_code: bool) -> Self {
        Self {
            status_code: with_status_code.then_some(200),
            results: outcomes.into_iter().map(CommandResult::of).collect(),
        }
    }
}

impl CommandResult {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered(Answer::Success(result)) => Self {
                outcome: "answered",
                success: true,
                content: Content::Result(result),
                error: None,
            },
            Outcome::Answered(Answer::Failure(CommandFailure { code, message })) => Self {
                outcome: "answered",
                success: false,
                content: Content::Error,
                error: Some(CommandErrorReply {
                    code: code.into(),
                    message,
                }),
            },
            Outcome::Unknown(error) => {
                let name = match &error {
                    HomeError::MessageTooLarge { .. } => ProblemName::MessageTooLarge,
                    _ => ProblemName::CommandOutcomeUnknown,
                };
                Self {
                    outcome: "unknown",
                    success: false,
                    content: Content::Error,
                    error: Some(CommandErrorReply {
                        code: name.name().into(),
                        message: format!(
                            "the command was sent and may have been executed, but no answer came: {error}; look at the home's state before sending it again"
                        ),
                    }),
                }
            }
        }
    }
}

/// The answer to a keep-warm event.
#[derive(Debug, Serialize)]
pub struct KeepWarmReply {
    #[serde(rename = "statusCode")]
    status_code: u16,
    warm: bool,
    token: TokenReply,
    session: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<KeepWarmProblem>,
}

#[derive(Debug, Serialize)]
struct TokenReply {
    valid: Option<bool>,
    refreshed: bool,
    fingerprint: Option<String>,
    version: Option<i64>,
}

#[derive(Debug, Serialize)]
struct KeepWarmProblem {
    r#type: String,
    detail: String,
    action: String,
}

impl KeepWarmReply {
    /// The reply to what was found.
    pub fn new(warmth: &Warmth) -> Self {
        Self {
            status_code: 200,
            warm: true,
            token: TokenReply {
                valid: warmth.valid,
                refreshed: warmth.refreshed,
                fingerprint: warmth
                    .token
                    .as_ref()
                    .map(|token| token.fingerprint().to_string()),
                version: warmth.token.as_ref().and_then(|token| token.version),
            },
            session: warmth.session.name(),
            problem: warmth.error.as_ref().map(|error| {
                let problem = Problem::of(&Failure::Bridge(error.clone()));
                KeepWarmProblem {
                    r#type: format!("urn:latchkey:problem:{}", problem.name.name()),
                    detail: problem.detail,
                    action: problem.action.into_owned(),
                }
            }),
        }
    }
}
