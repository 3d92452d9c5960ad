//! What is measured, when, and when there is silence.

use std::time::Duration;

/// Something measured. One that is not recorded is silent: it has no data in CloudWatch, and an alarm on it sees them
/// as missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Whether the home accepted the token: each time the home said so, one way or the other, and `false` as well for a
    /// token known to be bad without asking. Silent while the home cannot be asked.
    TokenValid(bool),
    /// Whether a read of the token from its source gave one that may be used: at each read. Silent while the token in
    /// memory will do.
    TokenRefresh(bool),
    /// How many days the token has until it expires by its own word, 0 once it has: each time the token was read from
    /// its source. Silent for a token that does not tell, and while none can be read.
    TokenDaysToExpiry(f64),
    /// The last good token was used beyond its hard time to live, because its source failed: at each use. Silent
    /// otherwise, so the sum says how often.
    TokenStale,
    /// How long the source took: at each read that came to an end, good or bad.
    TokenFetchLatency(Duration),
    /// Whether the home answered at all: each time the token was presented to it. Silent while there is no need to.
    HomeReachable(bool),
    /// Whether commands found a connection that was open already: once for each batch that was sent. Silent without
    /// commands.
    SessionReused(bool),
    /// From handing over a batch of commands to the last outcome: for each batch that was sent. Silent without
    /// commands.
    CommandLatency(Duration),
    /// How many commands of a batch were sent and not answered: for each batch that has any. Silent otherwise.
    CommandOutcomeUnknown(u32),
    /// An invocation asked for another home than the one its sandbox is bound to, and was refused: at each. Silent
    /// otherwise.
    TenantViolation,
    /// A caller has proven who they are: at each request. Silent where callers need not, or cannot.
    CallerAuthSuccess,
    /// A caller has not proven who they are, and was refused: at each request. Silent otherwise.
    CallerAuthFailure,
    /// A rotation left one token, the new one: at each. Silent for a run that found nothing to do or has to wait.
    RotationSucceeded,
    /// A run of a rotation failed: at each. Silent otherwise.
    RotationFailed,
}

/// The unit of a value, by CloudWatch's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, or 1 and 0 for yes and no.
    Count,
    /// Time.
    Milliseconds,
    /// One that CloudWatch has no name for.
    None,
}

impl Unit {
    /// CloudWatch's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::None => "None",
        }
    }
}

impl Metric {
    /// Its name in CloudWatch.
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
            Self::RotationSucceeded => "RotationSucceeded",
            Self::RotationFailed => "RotationFailed",
        }
    }

    /// Its value: 1 and 0 for yes and no, and 1 for what only happens.
    pub fn value(self) -> f64 {
        match self {
            Self::TokenValid(yes)
            | Self::TokenRefresh(yes)
            | Self::HomeReachable(yes)
            | Self::SessionReused(yes) => f64::from(u8::from(yes)),
            Self::TokenFetchLatency(duration) | Self::CommandLatency(duration) => {
                duration.as_secs_f64() * 1_000.0
            }
            Self::CommandOutcomeUnknown(count) => f64::from(count),
            Self::TokenDaysToExpiry(days) => days,
            Self::TokenStale
            | Self::TenantViolation
            | Self::CallerAuthSuccess
            | Self::CallerAuthFailure
            | Self::RotationSucceeded
            | Self::RotationFailed => 1.0,
        }
    }

    /// The unit of its value.
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
            | Self::RotationSucceeded
            | Self::RotationFailed => Unit::Count,
            Self::TokenFetchLatency(_) | Self::CommandLatency(_) => Unit::Milliseconds,
            Self::TokenDaysToExpiry(_) => Unit::None,
        }
    }
}
