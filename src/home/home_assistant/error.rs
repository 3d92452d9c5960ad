//! Errors of the communication with a home. Each variant requires a different action by the caller or the operator.

use std::fmt;

use crate::home::source::SourceError;

/// A step of a request to a home. Each step has a time limit, and an error names its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for another caller that opens the connection.
    Queue,
    /// Looking up an idempotency key.
    Idempotency,
    /// Reading the token from its source.
    Token,
    /// Reading the settings that parameters hold.
    Settings,
    /// Name resolution.
    Dns,
    /// The TCP connection.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// Validating the token at `/api/config`.
    Validate,
    /// The WebSocket upgrade and the home's greeting.
    Upgrade,
    /// Authentication on the WebSocket.
    Auth,
    /// A command and its reply.
    Command,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "queue",
            Self::Idempotency => "idempotency",
            Self::Token => "token",
            Self::Settings => "settings",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Validate => "validate",
            Self::Upgrade => "upgrade",
            Self::Auth => "auth",
            Self::Command => "command",
        })
    }
}

/// An error of the communication with a home. Only [`HomeError::Rejected`] means that the token is bad.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// The home rejected the token: REST 401 or WebSocket `auth_invalid`.
    #[error("the home rejected the token")]
    Rejected,
    /// The home has banned latchkey's IP address and rejects all its requests (403).
    #[error("the home has banned this IP address")]
    Banned,
    /// The home does not trust the proxy in front of it (400).
    #[error("the home does not trust the proxy in front of it")]
    ProxyNotTrusted,
    /// A system in front of the home responded instead of the home: with a login page, a redirect or a challenge.
    #[error("a system in front of the home answered with status {status}; the home did not answer")]
    EdgeBlocked {
        /// The HTTP status of the response.
        status: u16,
        /// True if the home's address has a path. A wrong path is then the more likely cause.
        has_path: bool,
    },
    /// The server at the home's address is not Home Assistant.
    #[error("the server at the home's address is not Home Assistant ({seen})")]
    NotHomeAssistant {
        /// The behaviour that a home never shows.
        seen: &'static str,
    },
    /// The home is up but not ready (503).
    #[error("the home is starting")]
    Starting,
    /// A parameter with a setting of this home could not be read.
    #[error(transparent)]
    SettingUnavailable(SourceError),
    /// A parameter with a setting of this home has an invalid value.
    #[error("{variable}: {problem}")]
    SettingInvalid {
        /// The environment variable that names the parameter.
        variable: &'static str,
        /// The defect of the value.
        problem: &'static str,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake failed ({reason})")]
    Tls {
        /// The defect of the certificate or the handshake.
        reason: String,
    },
    /// The home's host name does not resolve.
    #[error("the home's host name does not resolve")]
    Dns,
    /// A step took longer than its own time limit.
    #[error("the step `{stage}` timed out")]
    Timeout {
        /// The step.
        stage: Stage,
    },
    /// The invocation's deadline passed before the step's own time limit.
    #[error("the invocation's deadline passed during the step `{stage}`")]
    DeadlineExceeded {
        /// The step.
        stage: Stage,
    },
    /// The connection failed, or it broke before a response arrived.
    #[error("the home could not be reached in the step `{stage}` ({reason})")]
    Unreachable {
        /// The step.
        stage: Stage,
        /// The cause.
        reason: String,
        /// True if the connection was refused at once. The caller may then retry as well.
        refused: bool,
    },
    /// An open connection ended.
    #[error("the home closed the connection")]
    Closed,
    /// The home sent a message above the configured size.
    #[error("the home sent a message of more than {limit_bytes} bytes")]
    MessageTooLarge {
        /// The configured limit, in bytes.
        limit_bytes: usize,
    },
}

impl HomeError {
    /// Returns true if a retry may help and is safe. No command was in flight. The token was not in flight either, or
    /// the home said that it was not ready to validate the token.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Starting | Self::Dns => true,
            Self::Timeout { stage } | Self::Unreachable { stage, .. } => match stage {
                Stage::Dns | Stage::Tcp | Stage::Tls | Stage::Upgrade => true,
                Stage::Queue
                | Stage::Idempotency
                | Stage::Token
                | Stage::Settings
                | Stage::Validate
                | Stage::Auth
                | Stage::Command => false,
            },
            Self::Rejected
            | Self::Banned
            | Self::Closed
            | Self::ProxyNotTrusted
            | Self::EdgeBlocked { .. }
            | Self::NotHomeAssistant { .. }
            | Self::Tls { .. }
            | Self::SettingUnavailable { .. }
            | Self::SettingInvalid { .. }
            | Self::DeadlineExceeded { .. }
            | Self::MessageTooLarge { .. } => false,
        }
    }

    /// Returns true if the failure is known at once: the name does not resolve, or no server listens at the address.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Timeout { stage: Stage::Dns }
                | Self::Unreachable { refused: true, .. }
        )
    }

    /// Returns true if the home is currently down for all callers.
    pub fn is_down(&self) -> bool {
        match self {
            Self::Starting
            | Self::Dns
            | Self::Closed
            | Self::Timeout { .. }
            | Self::Unreachable { .. } => true,
            Self::Rejected
            | Self::Banned
            | Self::ProxyNotTrusted
            | Self::EdgeBlocked { .. }
            | Self::NotHomeAssistant { .. }
            | Self::Tls { .. }
            | Self::SettingUnavailable { .. }
            | Self::SettingInvalid { .. }
            | Self::DeadlineExceeded { .. }
            | Self::MessageTooLarge { .. } => false,
        }
    }

    /// Returns the error for an expired time limit.
    pub(super) fn out_of_time(stage: Stage, limit: crate::base::clock::Limit) -> Self {
        if limit.cut {
            Self::DeadlineExceeded { stage }
        } else {
            Self::Timeout { stage }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_with_the_token_or_a_command_in_flight_is_not_transient() {
        for stage in [Stage::Validate, Stage::Auth, Stage::Command] {
            assert!(!HomeError::Timeout { stage }.is_transient());
        }
        assert!(!HomeError::Rejected.is_transient());
        assert!(
            HomeError::Unreachable {
                stage: Stage::Tcp,
                reason: "refused".into(),
                refused: true,
            }
            .is_transient()
        );
    }
}
