//! The reply to keep-warm events and parameter changes.

use serde::Serialize;

use super::brief::BriefProblem;
use super::problem::Problem;
use crate::base::home_name::HomeName;
use crate::home::bridge::Warmth;
use crate::service::app::PerHome;

/// The reply to a keep-warm event, or to an event about a changed parameter.
#[derive(Debug, Serialize)]
pub struct KeepWarmReply {
    #[serde(rename = "statusCode")]
    status_code: u16,
    warm: bool,
    #[serde(flatten)]
    found: Found,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    /// The only home.
    One(HomeReply),
    /// Each of several homes.
    Several { homes: Vec<HomeReply> },
    /// The event does not affect a served home.
    Ignored { ignored: bool },
}

/// The state of one home.
#[derive(Debug, Serialize)]
struct HomeReply {
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    token: TokenReply,
    session: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<BriefProblem>,
}

#[derive(Debug, Default, Serialize)]
struct TokenReply {
    valid: Option<bool>,
    refreshed: bool,
    fingerprint: Option<String>,
    version: Option<i64>,
}

/// The warm-up result of one home, and its problem.
type Finding = (Option<Warmth>, Option<Problem>);

impl KeepWarmReply {
    /// Returns the reply for warmed homes.
    pub(crate) fn of(warmed: PerHome<Finding>) -> Self {
        match warmed {
            PerHome::Only(finding) => Self::one(finding),
            PerHome::Each(findings) => Self::several(findings),
        }
    }

    /// Creates the reply for the only home.
    pub fn one(finding: Finding) -> Self {
        Self::with(Found::One(HomeReply::new(None, finding)))
    }

    /// Creates the reply for each of several homes. The default home has no name.
    pub fn several(findings: Vec<(Option<HomeName>, Finding)>) -> Self {
        let homes = findings
            .into_iter()
            .map(|(name, finding)| HomeReply::new(name.as_ref(), finding))
            .collect();
        Self::with(Found::Several { homes })
    }

    /// Creates the reply to an event that does not affect a served home.
    pub fn ignored() -> Self {
        Self::with(Found::Ignored { ignored: true })
    }

    fn with(found: Found) -> Self {
        Self {
            status_code: 200,
            warm: true,
            found,
        }
    }
}

impl HomeReply {
    fn new(name: Option<&HomeName>, (warmth, problem): Finding) -> Self {
        let token = warmth.as_ref().map(|warmth| TokenReply {
            valid: warmth.valid,
            refreshed: warmth.refreshed,
            fingerprint: warmth.token.map(|token| token.fingerprint.to_string()),
            version: warmth.token.and_then(|token| token.version),
        });
        Self {
            home: name.map(|name| name.as_str().to_owned()),
            token: token.unwrap_or_default(),
            session: warmth.map_or("disconnected", |warmth| warmth.session.name()),
            problem: problem.map(BriefProblem::from),
        }
    }
}
