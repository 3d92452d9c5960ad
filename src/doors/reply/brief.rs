//! The short form of a problem, inside a larger reply.

use std::borrow::Cow;

use serde::Serialize;

use super::problem::Problem;

/// The problem of one home among several, or a problem beside a successful result.
#[derive(Debug, Serialize)]
pub(super) struct BriefProblem {
    r#type: String,
    detail: String,
    action: Cow<'static, str>,
}

impl From<Problem> for BriefProblem {
    fn from(problem: Problem) -> Self {
        Self {
            r#type: problem.name.urn(),
            detail: problem.detail,
            action: problem.action,
        }
    }
}
