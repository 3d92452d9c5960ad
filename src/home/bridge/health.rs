//! How token and home are, as a value: for whoever asks, and cheap enough to be asked at any rate.

use std::time::Duration;

use super::error::BridgeError;
use crate::base::clock::{Timestamp, days};
use crate::base::secret::Fingerprint;
use crate::home::home_assistant::{HomeError, SessionReport, SessionState};
use crate::home::token::TokenFacts;

/// What a keep-warm event found.
#[derive(Debug)]
pub struct Warmth {
    /// Whether the home accepts the token; `None` if it could not be asked.
    pub valid: Option<bool>,
    /// Whether the token was read from its source for this event: during it, or in INIT before it.
    pub refreshed: bool,
    /// The token last read.
    pub token: Option<TokenFacts>,
    /// Where the session stands.
    pub session: SessionState,
    /// Why not all is well.
    pub error: Option<BridgeError>,
}

/// The last thing that was learned about token and home.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was learned.
    pub outcome: Result<(), BridgeError>,
    /// When.
    pub at: Timestamp,
}

/// How things are, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The last command or proof went well.
    Healthy,
    /// Nothing was asked of the home yet, or it will be back by itself.
    Degraded,
    /// Somebody has to do something.
    Unhealthy,
}

impl Status {
    /// Its word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Everything that is known of token and home.
#[derive(Clone, Debug)]
pub struct Health {
    /// In a word.
    pub status: Status,
    /// What was last learned, and how long ago; `None` before anything was asked.
    pub verdict: Option<(Result<(), BridgeError>, Duration)>,
    /// The token that was last read; `None` before it was.
    pub token: Option<TokenHealth>,
    /// The session.
    pub session: SessionHealth,
    /// Whether runs are let through: `closed`, `open`, `half-open`.
    pub breaker: &'static str,
}

/// What is known of the token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenHealth {
    /// Which token.
    pub fingerprint: Fingerprint,
    /// The version of the parameter it came from.
    pub version: Option<i64>,
    /// How long ago it was read.
    pub age: Duration,
    /// How many days it has left by its own word; 0 once it has ended.
    pub days_to_expiry: Option<f64>,
}

/// What is known of the session.
#[derive(Clone, Debug)]
pub struct SessionHealth {
    /// Where it stands.
    pub state: SessionState,
    /// How many connections were opened after the first.
    pub reconnects: u64,
    /// How long ago one was last opened, or tried.
    pub last_attempt: Option<Duration>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<HomeError>,
    /// The home's version, as it last said.
    pub home_version: Option<String>,
}

/// The facts that a health report is made of.
pub(super) struct Facts {
    /// The last finding.
    pub(super) finding: Option<Finding>,
    /// The token in memory.
    pub(super) token: Option<TokenFacts>,
    /// The state of the session.
    pub(super) state: SessionState,
    /// The session's report.
    pub(super) report: SessionReport,
    /// The state of the breaker.
    pub(super) breaker: &'static str,
}

impl Health {
    /// The health that follows from facts.
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
        // The token is good or unknown and the home will be back by itself.
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
    fn ages_are_counted_from_now() {
        let health = health(Some(Ok(())), Some(1_060 + 86_400 * 3 / 2));
        let token = health.token.unwrap();
        assert_eq!(token.age, Duration::from_secs(60));
        assert_eq!(token.days_to_expiry, Some(1.5));
        assert_eq!(health.verdict.unwrap().1, Duration::from_secs(40));
        assert_eq!(health.session.last_attempt, Some(Duration::from_secs(50)));
    }

    #[test]
    fn a_token_that_ended_has_no_days_left() {
        assert_eq!(
            health(None, Some(500)).token.unwrap().days_to_expiry,
            Some(0.0)
        );
        assert_eq!(health(None, None).token.unwrap().days_to_expiry, None);
    }

    #[test]
    fn a_word_for_every_finding() {
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
