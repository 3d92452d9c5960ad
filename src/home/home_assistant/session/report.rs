//! How a session is, for reports.

use super::super::connection::Connection;
use super::super::error::HomeError;
use crate::base::clock::Timestamp;

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// No connection.
    Disconnected,
    /// Opening one.
    Connecting,
    /// `auth` is under way.
    Authenticating,
    /// In use.
    Ready,
}

impl SessionState {
    /// Its word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Authenticating => "authenticating",
            Self::Ready => "ready",
        }
    }
}

/// What is known of the session, for reports.
#[derive(Clone, Debug, Default)]
pub struct SessionReport {
    /// How many connections were opened after the first.
    pub reconnects: u64,
    /// When one was last opened, or tried.
    pub last_attempt: Option<Timestamp>,
    /// The home's version, as it last said.
    pub home_version: Option<String>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<HomeError>,
}

/// What a session knows of its connections.
#[derive(Default)]
pub(super) struct Known {
    pub(super) report: SessionReport,
    pub(super) attempts: u64,
    /// How many attempts failed to reach the home.
    pub(super) failures: u64,
    pub(super) connection: Option<Connection>,
}
