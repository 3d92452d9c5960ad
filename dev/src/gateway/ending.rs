//! The reasons why a WebSocket ends.

use tokio_tungstenite::tungstenite::{
    Error,
    error::ProtocolError,
    protocol::{
        CloseFrame,
        frame::{Utf8Bytes, coding::CloseCode},
    },
};

/// The end of a WebSocket, as the event `$disconnect` reports it.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) by: By,
}

/// The side that ended the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The client sent a close frame.
    Client,
    /// The gateway sends a close frame.
    Gateway,
    /// The TCP connection has ended without a close frame.
    Network,
}

impl Ending {
    fn new(code: u16, reason: impl Into<String>, by: By) -> Self {
        Self {
            code,
            reason: reason.into(),
            by,
        }
    }

    /// The function deleted the connection.
    pub(super) fn deleted() -> Self {
        Self::new(1000, "Connection Closed Normally", By::Gateway)
    }

    /// The connection was idle for too long, or reached the end of its lifetime.
    pub(super) fn expired() -> Self {
        Self::new(1001, "Going away", By::Gateway)
    }

    /// The TCP connection has ended without a close frame.
    pub(super) fn broken() -> Self {
        Self::new(1006, "Connection closed abnormally", By::Network)
    }

    /// The client sent a close frame.
    pub(super) fn by_client(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self::new(frame.code.into(), frame.reason.as_str(), By::Client),
            None => Self::new(1005, "Client-side close frame status not set", By::Client),
        }
    }

    /// Reading failed.
    pub(super) fn by_error(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::new(1009, "Message too long", By::Gateway),
            Error::Utf8(_) => Self::new(1007, "Text is not UTF-8", By::Gateway),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::broken(),
            Error::Protocol(error) => Self::new(1002, error.to_string(), By::Gateway),
            _ => Self::broken(),
        }
    }

    /// Returns the close frame that the gateway sends.
    pub(super) fn close_frame(&self) -> CloseFrame {
        CloseFrame {
            code: CloseCode::from(self.code),
            reason: Utf8Bytes::from(self.reason.as_str()),
        }
    }
}
