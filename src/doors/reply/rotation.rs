//! What rotations came to.

use std::time::Duration;

use serde::Serialize;

use super::brief::BriefProblem;
use super::problem::Problem;
use super::timestamp::rfc3339;
use crate::base::home_name::HomeName;
use crate::service::rotation::{Progress, RotationReport};

/// The answer to a demand to rotate.
#[derive(Debug, Serialize)]
pub struct RotationReply {
    #[serde(rename = "statusCode")]
    status_code: u16,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// Of the one home.
    Rotation(Rotated),
    /// Of each of several homes.
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
    /// When another run can go on, if it can not now.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Token {
    fingerprint: Option<String>,
    version: Option<i64>,
}

impl RotationReply {
    /// The reply for one home.
    pub fn one(report: RotationReport) -> Self {
        Self {
            status_code: 200,
            what: What::Rotation(Rotated::new(report)),
        }
    }

    /// The reply for several homes, each with its name if it has one.
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
            what: What::Homes(homes.collect()),
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
    // Whole seconds, and not before the moment itself.
    rfc3339(Duration::from_secs(
        unix.as_secs() + u64::from(unix.subsec_nanos() > 0),
    ))
}
