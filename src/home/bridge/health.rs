//! The health of the token and the home, built from known facts without a request to the home.

use std::time::Duration;

use super::error::BridgeError;
use crate::base::clock::{Timestamp, days};
use crate::base::secret::Fingerprint;
use crate::home::home_assistant::{HomeError, SessionReport, SessionState};
use crate::home::token::TokenFacts;

/// The result of a keep-warm event.
#[derive(Debug)]
pub struct Warmth {
    /// True if the home accepts the token; `None` if the token could not be validated.
    pub valid: Option<bool>,
    /// True if the token was read from its source for this event: during the event, or before it in INIT.
    pub refreshed: bool,
    /// The last token that was read.
    pub token: Option<TokenFacts>,
    /// The state of the session.
    pub session: SessionState,
    /// The error, if the event failed in part or as a whole.
    pub error: Option<BridgeError>,
}

/// The last result about the token and the home.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The result.
    pub outcome: Result<(), BridgeError>,
    /// The time of the result.
    pub at: Timestamp,
}

/// The overall health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The last command or proof went well.
    Healthy,
    /// No command or proof has run yet, or the problem is expected to end without action.
    Degraded,
    /// An operator must act.
    Unhealthy,
}

impl Status {
    /// Returns the name of the status for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// All known facts about the token and the home.
#[derive(Clone, Debug)]
pub struct Health {
    /// The overall health.
    pub status: Status,
    /// The last result and its age; `None` before the first result.
    pub verdict: Option<(Result<(), BridgeError>, Duration)>,
    /// The last token that was read; `None` before the first read.
    pub token: Option<TokenHealth>,
    /// The facts about the session.
    pub session: SessionHealth,
    /// The state of the circuit breaker: `closed`, `open` or `half-open`.
    pub breaker: &'static str,
}

/// The facts about the token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenHealth {
    /// The token's fingerprint.
    pub fingerprint: Fingerprint,
    /// The version of the parameter that held the token.
    pub version: Option<i64>,
    /// The time since the token was read.
    pub age: Duration,
    /// The days until the expiry time that the token states; 0 after the expiry.
    pub days_to_expiry: Option<f64>,
}

/// The facts about the session.
#[derive(Clone, Debug)]
pub struct SessionHealth {
    /// The state of the session.
    pub state: SessionState,
    /// The number of connections that were opened after the first connection.
    pub reconnects: u64,
    /// The time since the last attempt to open a connection.
    pub last_attempt: Option<Duration>,
    /// The error of the last attempt, if the attempt failed.
    pub last_error: Option<HomeError>,
    /// The version that the home last reported.
    pub home_version: Option<String>,
}

/// The facts that a health report is built from.
pub(super) struct Facts {
    /// The last result.
    pub(super) finding: Option<Finding>,
    /// The last token that was read.
    pub(super) token: Option<TokenFacts>,
    /// The state of the session.
    pub(super) state: SessionState,
    /// The session's report.
    pub(super) report: SessionReport,
    /// The state of the breaker.
    pub(super) breaker: &'static str,
}

impl Health {
    /// Builds the health from facts.
    pub(super) fn new(facts: Facts, now: Timestamp) -> Self {
        let Facts {
            finding,
            token,
            state,
            report,
            breaker,
        } = facts;
        Self {
            status: status(finding.as_ref()),
            verdict: finding.map(|finding| (finding.outcome, now.since(finding.at))),
            token: token.map(|facts| TokenHealth {
                fingerprint: facts.fingerprint,
                version: facts.version,
                age: now.since(facts.read_at),
                days_to_expiry: facts
                    .expires_at
                    .map(|end| days(end.saturating_sub(now.unix))),
            }),
            session: SessionHealth {
                state,
                reconnects: report.reconnects,
                last_attempt: report.last_attempt.map(|at| now.since(at)),
                last_error: report.last_error,
                home_version: report.home_version,
            },
            breaker,
        }
    }
}

fn status(finding: Option<&Finding>) -> Status {
    match finding.map(|finding| &finding.outcome) {
        Some(Ok(())) => Status::Healthy,
        None => Status::Degraded,
        // The token is valid or unknown, and the home is expected to recover without action.
        Some(Err(BridgeError::Home(error))) if error.is_transient() => Status::Degraded,
        Some(Err(BridgeError::Home(_) | BridgeError::Token(_))) => Status::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::AccessToken;
    use crate::home::home_assistant::Stage;

    fn at(seconds: u64) -> Timestamp {
        Timestamp {
            monotonic: Duration::from_secs(seconds),
            unix: Duration::from_secs(seconds),
        }
    }

    fn health(finding: Option<Result<(), BridgeError>>, expires_at: Option<u64>) -> Health {
        let token = TokenFacts {
            fingerprint: AccessToken::new("abc".into()).fingerprint(),
            version: Some(3),
            expires_at: expires_at.map(Duration::from_secs),
            read_at: at(1_000),
        };
        let report = SessionReport {
            reconnects: 2,
            last_attempt: Some(at(1_010)),
            home_version: Some("2025.4.4".into()),
            last_error: None,
        };
        let finding = finding.map(|outcome| Finding {
            outcome,
            at: at(1_020),
        });
        let facts = Facts {
            finding,
            token: Some(token),
            state: SessionState::Ready,
            report,
            breaker: "closed",
        };
        Health::new(facts, at(1_060))
    }

    #[test]
    fn health_counts_ages_from_now() {
        let health = health(Some(Ok(())), Some(1_060 + 86_400 * 3 / 2));
        let token = health.token.unwrap();
        assert_eq!(token.age, Duration::from_secs(60));
        assert_eq!(token.days_to_expiry, Some(1.5));
        assert_eq!(health.verdict.unwrap().1, Duration::from_secs(40));
        assert_eq!(health.session.last_attempt, Some(Duration::from_secs(50)));
    }

    #[test]
    fn expired_token_has_zero_days_to_expiry() {
        assert_eq!(
            health(None, Some(500)).token.unwrap().days_to_expiry,
            Some(0.0)
        );
        assert_eq!(health(None, None).token.unwrap().days_to_expiry, None);
    }

    #[test]
    fn status_follows_the_last_finding() {
        let home = |error| Some(Err(BridgeError::Home(error)));
        for (finding, status) in [
            (None, Status::Degraded),
            (Some(Ok(())), Status::Healthy),
            (home(HomeError::Starting), Status::Degraded),
            (home(HomeError::Dns), Status::Degraded),
            (home(HomeError::Rejected), Status::Unhealthy),
            (home(HomeError::Banned), Status::Unhealthy),
            (
                home(HomeError::Timeout {
                    stage: Stage::Validate,
                }),
                Status::Unhealthy,
            ),
        ] {
            assert_eq!(health(finding.clone(), None).status, status, "{finding:?}");
        }
    }
}
