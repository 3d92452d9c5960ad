//! The reply to rotation requests.

use std::time::Duration;

use serde::Serialize;

use super::brief::BriefProblem;
use super::problem::Problem;
use super::timestamp::rfc3339;
use crate::base::home_name::HomeName;
use crate::service::app::PerHome;
use crate::service::rotation::{Progress, RotationReport};

/// The reply to a rotation request.
#[derive(Debug, Serialize)]
pub struct RotationReply {
    #[serde(rename = "statusCode")]
    status_code: u16,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    /// The rotation of the only home.
    Rotation(Rotated),
    /// The rotation of each of several homes.
    Homes(Vec<HomeRotation>),
}

#[derive(Debug, Serialize)]
struct HomeRotation {
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<BriefProblem>,
}

#[derive(Debug, Serialize)]
struct Rotated {
    /// `rotated`, `nothing-to-do`, `draining`, `busy` or `planned`.
    state: &'static str,
    steps: Vec<String>,
    token: Token,
    revoked: u32,
    /// The time when another run can continue, if this run cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Token {
    fingerprint: Option<String>,
    version: Option<i64>,
}

impl RotationReply {
    /// Returns the reply for rotations.
    pub(crate) fn of(rotated: PerHome<RotationReport, Result<RotationReport, Problem>>) -> Self {
        match rotated {
            PerHome::Only(report) => Self::one(report),
            PerHome::Each(reports) => Self::several(reports),
        }
    }

    /// Creates the reply for one home.
    pub fn one(report: RotationReport) -> Self {
        Self {
            status_code: 200,
            content: Content::Rotation(Rotated::new(report)),
        }
    }

    /// Creates the reply for several homes. The default home has no name.
    pub fn several(reports: Vec<(Option<HomeName>, Result<RotationReport, Problem>)>) -> Self {
        let homes = reports.into_iter().map(|(name, report)| {
            let (rotation, problem) = match report {
                Ok(report) => (Some(Rotated::new(report)), None),
                Err(problem) => (None, Some(problem)),
            };
            HomeRotation {
                home: name.map(|name| name.as_str().to_owned()),
                rotation,
                problem: problem.map(BriefProblem::from),
            }
        });
        Self {
            status_code: 200,
            content: Content::Homes(homes.collect()),
        }
    }
}

impl Rotated {
    fn new(report: RotationReport) -> Self {
        let (state, resume_at) = match report.progress {
            Progress::Rotated => ("rotated", None),
            Progress::Nothing => ("nothing-to-do", None),
            Progress::Draining { until } => ("draining", Some(until)),
            Progress::Busy { until } => ("busy", Some(until)),
            Progress::Planned => ("planned", None),
        };
        let (fingerprint, version) = report.token.unzip();
        Self {
            state,
            steps: report.steps,
            token: Token {
                fingerprint: fingerprint.map(|fingerprint| fingerprint.to_string()),
                version: version.flatten(),
            },
            revoked: report.revoked,
            resume_at: resume_at.map(timestamp),
        }
    }
}

fn timestamp(unix: Duration) -> String {
    // Rounds up to whole seconds, so the time is not too early.
    rfc3339(Duration::from_secs(
        unix.as_secs() + u64::from(unix.subsec_nanos() > 0),
    ))
}
