//! The metrics, and the events that record them.

use std::time::Duration;

/// A measured value. A metric without recorded values has no data in CloudWatch, and an alarm on the metric treats its
/// data as missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Whether the home accepted the token. Recorded each time the home accepts or rejects the token. Recorded as
    /// `false`, without a request, for a token that is known to be bad. Not recorded while the home is unreachable.
    TokenValid(bool),
    /// Whether a read of the token from its source returned a usable token. Recorded at each read. Not recorded while
    /// the cached token is used.
    TokenRefresh(bool),
    /// The number of days until the token expires by its own claims; 0 after the expiry. Recorded each time the token
    /// was read from its source. Not recorded for a token without an expiry, and while no token can be read.
    TokenDaysToExpiry(f64),
    /// The last good token was used after its hard time to live, because its source failed. Recorded at each use, so
    /// the sum is the number of uses.
    TokenStale,
    /// The time that the token source took. Recorded at each completed read, successful or failed.
    TokenFetchLatency(Duration),
    /// Whether the home answered at all. Recorded each time the token was presented to the home. Not recorded while the
    /// token needs no check.
    HomeReachable(bool),
    /// Whether commands reused an open connection. Recorded once for each batch that was sent.
    SessionReused(bool),
    /// The time from the hand-over of a batch of commands to its last outcome. Recorded once for each batch that was
    /// sent.
    CommandLatency(Duration),
    /// The number of commands in a batch that were sent and not answered. Recorded for each batch with such a command.
    CommandOutcomeUnknown(u32),
    /// A request named a home other than the home of its tenant, and was rejected. The tenant is the caller's, or the
    /// tenant that the execution environment is bound to. Recorded at each such request.
    TenantViolation,
    /// A caller authenticated. Recorded at each request. Not recorded where callers need not, or cannot, authenticate.
    CallerAuthSuccess,
    /// A caller failed to authenticate and was rejected. Recorded at each such request.
    CallerAuthFailure,
    /// The number of open WebSocket connections. Recorded at each keep-warm event.
    ConnectionsActive(u32),
    /// A WebSocket connection was opened. Recorded at each accepted connection.
    ConnectionsTotal,
    /// A frame was posted to a WebSocket connection. Not recorded for the response to a message.
    MessagesSent,
    /// A client sent a frame on a WebSocket connection.
    MessagesReceived,
    /// A WebSocket connection was closed because it did not authenticate in time.
    AuthTimeout,
    /// A client renewed the token of its WebSocket connection.
    ReauthSuccess,
    /// A client failed to renew the token of its WebSocket connection, or the connection was closed without a renewal.
    ReauthFailure,
    /// A rotation ended, and only the new token is left. Recorded at each such rotation. Not recorded for a run without
    /// work, or for a run that has to wait.
    RotationSucceeded,
    /// A run of a rotation failed. Recorded at each failed run.
    RotationFailed,
}

/// The unit of a value, by its CloudWatch name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, or 1 for true and 0 for false.
    Count,
    /// A time in milliseconds.
    Milliseconds,
    /// A unit without a CloudWatch name.
    None,
}

impl Unit {
    /// Returns the CloudWatch name of the unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::None => "None",
        }
    }
}

impl Metric {
    /// Returns the CloudWatch name of the metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenValid(_) => "TokenValid",
            Self::TokenRefresh(_) => "TokenRefresh",
            Self::TokenDaysToExpiry(_) => "TokenDaysToExpiry",
            Self::TokenStale => "TokenStale",
            Self::TokenFetchLatency(_) => "TokenFetchLatency",
            Self::HomeReachable(_) => "HomeReachable",
            Self::SessionReused(_) => "SessionReused",
            Self::CommandLatency(_) => "CommandLatency",
            Self::CommandOutcomeUnknown(_) => "CommandOutcomeUnknown",
            Self::TenantViolation => "TenantViolation",
            Self::CallerAuthSuccess => "CallerAuthSuccess",
            Self::CallerAuthFailure => "CallerAuthFailure",
            Self::ConnectionsActive(_) => "ConnectionsActive",
            Self::ConnectionsTotal => "ConnectionsTotal",
            Self::MessagesSent => "MessagesSent",
            Self::MessagesReceived => "MessagesReceived",
            Self::AuthTimeout => "AuthTimeout",
            Self::ReauthSuccess => "ReauthSuccess",
            Self::ReauthFailure => "ReauthFailure",
            Self::RotationSucceeded => "RotationSucceeded",
            Self::RotationFailed => "RotationFailed",
        }
    }

    /// Returns the value: 1 for true, 0 for false, and 1 for an event without a value.
    pub fn value(self) -> f64 {
        match self {
            Self::TokenValid(yes)
            | Self::TokenRefresh(yes)
            | Self::HomeReachable(yes)
            | Self::SessionReused(yes) => f64::from(u8::from(yes)),
            Self::TokenFetchLatency(duration) | Self::CommandLatency(duration) => {
                duration.as_secs_f64() * 1_000.0
            }
            Self::CommandOutcomeUnknown(count) | Self::ConnectionsActive(count) => f64::from(count),
            Self::TokenDaysToExpiry(days) => days,
            Self::TokenStale
            | Self::TenantViolation
            | Self::CallerAuthSuccess
            | Self::CallerAuthFailure
            | Self::ConnectionsTotal
            | Self::MessagesSent
            | Self::MessagesReceived
            | Self::AuthTimeout
            | Self::ReauthSuccess
            | Self::ReauthFailure
            | Self::RotationSucceeded
            | Self::RotationFailed => 1.0,
        }
    }

    /// Returns the unit of the value.
    pub fn unit(self) -> Unit {
        match self {
            Self::TokenValid(_)
            | Self::TokenRefresh(_)
            | Self::TokenStale
            | Self::HomeReachable(_)
            | Self::SessionReused(_)
            | Self::CommandOutcomeUnknown(_)
            | Self::TenantViolation
            | Self::CallerAuthSuccess
            | Self::CallerAuthFailure
            | Self::ConnectionsActive(_)
            | Self::ConnectionsTotal
            | Self::MessagesSent
            | Self::MessagesReceived
            | Self::AuthTimeout
            | Self::ReauthSuccess
            | Self::ReauthFailure
            | Self::RotationSucceeded
            | Self::RotationFailed => Unit::Count,
            Self::TokenFetchLatency(_) | Self::CommandLatency(_) => Unit::Milliseconds,
            Self::TokenDaysToExpiry(_) => Unit::None,
        }
    }
}
