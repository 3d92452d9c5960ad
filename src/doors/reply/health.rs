//! The health reports.

use serde::Serialize;

use super::problem::Problem;
use super::timestamp::rfc3339;
use crate::base::clock::Timestamp;
use crate::base::home_name::HomeName;
use crate::home::bridge::{Health, Status};
use crate::service::failure::Failure;

/// The health of all homes in one word.
#[derive(Debug, Serialize)]
pub struct HealthSummary {
    status: &'static str,
    service: &'static str,
    timestamp: String,
}

impl HealthSummary {
    /// Creates a summary at `now`.
    pub fn new(status: Status, now: Timestamp) -> Self {
        Self {
            status: status.name(),
            service: "latchkey",
            timestamp: rfc3339(now.unix),
        }
    }
}

/// The detailed health report.
#[derive(Debug, Serialize)]
pub struct HealthReply {
    #[serde(flatten)]
    summary: HealthSummary,
    homes: Vec<HomeHealth>,
}

#[derive(Debug, Serialize)]
struct HomeHealth {
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    status: &'static str,
    verdict: Option<VerdictReply>,
    token: Option<TokenReply>,
    session: SessionReply,
    breaker: &'static str,
}

#[derive(Debug, Serialize)]
struct VerdictReply {
    /// `ok`, or the name of the problem.
    outcome: &'static str,
    age_seconds: u64,
}

#[derive(Debug, Serialize)]
struct TokenReply {
    fingerprint: String,
    version: Option<i64>,
    age_seconds: u64,
    days_to_expiry: Option<f64>,
}

#[derive(Debug, Serialize)]
struct SessionReply {
    state: &'static str,
    reconnects: u64,
    last_attempt_age_seconds: Option<u64>,
    last_error: Option<&'static str>,
    home_version: Option<String>,
}

impl HealthReply {
    /// Creates the report on these homes.
    pub fn new(
        status: Status,
        homes: impl Iterator<Item = (Option<HomeName>, Health)>,
        now: Timestamp,
    ) -> Self {
        Self {
            summary: HealthSummary::new(status, now),
            homes: homes
                .map(|(name, health)| HomeHealth::new(name.as_ref(), health))
                .collect(),
        }
    }
}

impl HomeHealth {
    fn new(name: Option<&HomeName>, health: Health) -> Self {
        let session = health.session;
        Self {
            home: name.map(|name| name.as_str().to_owned()),
            status: health.status.name(),
            verdict: health.verdict.map(|(outcome, age)| VerdictReply {
                outcome: outcome.map_or_else(
                    |error| Problem::of(&Failure::Bridge(error)).name.name(),
                    |()| "ok",
                ),
                age_seconds: age.as_secs(),
            }),
            token: health.token.map(|token| TokenReply {
                fingerprint: token.fingerprint.to_string(),
                version: token.version,
                age_seconds: token.age.as_secs(),
                days_to_expiry: token.days_to_expiry,
            }),
            session: SessionReply {
                state: session.state.name(),
                reconnects: session.reconnects,
                last_attempt_age_seconds: session.last_attempt.map(|age| age.as_secs()),
                last_error: session
                    .last_error
                    .map(|error| Problem::of(&Failure::Bridge(error.into())).name.name()),
                home_version: session.home_version,
            },
            breaker: health.breaker,
        }
    }
}
