//! The state of a session, for reports.

use super::super::connection::Connection;
use super::super::error::HomeError;
use crate::base::clock::Timestamp;

/// The state of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// No connection is open.
    Disconnected,
    /// A connection is being opened.
    Connecting,
    /// `auth` was sent, and the home has not answered yet.
    Authenticating,
    /// The connection is ready for commands.
    Ready,
}

impl SessionState {
    /// Returns the name of the state for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Authenticating => "authenticating",
            Self::Ready => "ready",
        }
    }
}

/// The facts about the session, for reports.
#[derive(Clone, Debug, Default)]
pub struct SessionReport {
    /// The number of connections that were opened after the first connection.
    pub reconnects: u64,
    /// The time of the last attempt to open a connection.
    pub last_attempt: Option<Timestamp>,
    /// The version that the home last reported.
    pub home_version: Option<String>,
    /// The error of the last attempt, if the attempt failed.
    pub last_error: Option<HomeError>,
}

/// The session's data about its connections.
#[derive(Default)]
pub(super) struct Known {
    pub(super) report: SessionReport,
    pub(super) attempts: u64,
    /// The number of attempts that failed to reach the home.
    pub(super) failures: u64,
    pub(super) connection: Option<Connection>,
}
