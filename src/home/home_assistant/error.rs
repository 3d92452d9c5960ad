//! Why talking to a home failed, told apart by what a caller or operator would do about it.

use std::fmt;

use crate::home::source::SourceError;

/// A step on the way from an address to an answer. Each has a limit, and a failure names its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for another caller who opens the connection.
    Queue,
    /// Looking an idempotency key up.
    Idempotency,
    /// Getting the token.
    Token,
    /// Reading the settings that lie in parameters.
    Settings,
    /// Name resolution.
    Dns,
    /// The TCP connection.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// Proving the token at `/api/config`.
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

/// Why talking to a home failed. Only [`HomeError::Rejected`] means that the token is bad.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// The home refused the token: REST 401 or WebSocket `auth_invalid`.
    #[error("the home rejected the token")]
    Rejected,
    /// The home refuses everything from this address (403).
    #[error("the home has banned this address")]
    Banned,
    /// The home does not trust the proxy in front of it (400).
    #[error("the home does not trust the proxy in front of it")]
    ProxyNotTrusted,
    /// Something in front of the home answered in its place: a login page, a redirect, a challenge.
    #[error("something in front of the home answered in its place with status {status}")]
    EdgeBlocked {
        /// The HTTP status it answered with.
        status: u16,
        /// Whether the home's address has a path, which is then the likelier cause.
        has_path: bool,
    },
    /// Whatever answered is not Home Assistant.
    #[error("what answers there is not Home Assistant ({seen})")]
    NotHomeAssistant {
        /// What it did that a home does not.
        seen: &'static str,
    },
    /// The home is up but not ready (503).
    #[error("the home is starting")]
    Starting,
    /// A setting of this home's that lies in a parameter could not be read.
    #[error(transparent)]
    SettingUnavailable(SourceError),
    /// A setting of this home's that lies in a parameter is not what it should be.
    #[error("{variable}: {problem}")]
    SettingInvalid {
        /// The variable that names the parameter.
        variable: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake failed ({reason})")]
    Tls {
        /// What is wrong with the certificate or the handshake.
        reason: String,
    },
    /// The name does not resolve.
    #[error("the home's name does not resolve")]
    Dns,
    /// A step took longer than its own limit.
    #[error("the home did not finish the step `{stage}` in time")]
    Timeout {
        /// Which step.
        stage: Stage,
    },
    /// The invocation's deadline ended a step before its own limit did.
    #[error("the invocation's deadline ended the step `{stage}`")]
    DeadlineExceeded {
        /// Which step.
        stage: Stage,
    },
    /// No connection, or it broke before an answer.
    #[error("the home could not be reached in the step `{stage}` ({reason})")]
    Unreachable {
        /// Which step.
        stage: Stage,
        /// What failed.
        reason: String,
        /// Whether it was known at once that nothing listens there, so that whoever asked may try again as well.
        refused: bool,
    },
    /// An open connection ended.
    #[error("the home closed the connection")]
    Closed,
    /// A message above the configured size.
    #[error("the home sent a message of more than {limit_bytes} bytes")]
    MessageTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
}

impl HomeError {
    /// Whether trying again may help and cannot do harm: no command was under way, and the token either not, or to a
    /// home that said it is not ready to judge it.
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

    /// Whether it is told at once: the name does not resolve, or nothing listens at the address.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Timeout { stage: Stage::Dns }
                | Self::Unreachable { refused: true, .. }
        )
    }

    /// Whether it means that the home is down, for everyone and for now.
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

    /// The error of a limit that ran out.
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
    fn nothing_is_tried_again_once_the_token_or_a_command_was_under_way() {
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
