//! A problem inside a reply that has more to tell.

use std::borrow::Cow;

use serde::Serialize;

use super::problem::Problem;

/// What went wrong with one home of several, or beside what went well.
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
