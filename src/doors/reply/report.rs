//! The one log line of a failure.

use super::problem::Problem;
use crate::service::app::App;
use crate::service::failure::Failure;

/// Writes the one log line of a failure, counts it if it must be looked into, and returns the caller's view of it.
pub(crate) fn report(app: &App, failure: &Failure, request_id: &str) -> Problem {
    app.count(failure);
    let problem = Problem::of(failure);
    let category = problem.name.name();
    let stage = failure.stage();
    let error = &problem.detail;
    if problem.status < 500 {
        tracing::info!(request_id, category, stage, error, "refused");
    } else {
        tracing::error!(request_id, category, stage, error, "failed");
    }
    problem
}
