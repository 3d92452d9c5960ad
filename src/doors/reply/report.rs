//! The log line of a failure.

use super::problem::Problem;
use crate::service::app::App;
use crate::service::failure::Failure;

/// Logs a failure in one line, counts it if an operator must look into it, and returns the problem for the caller.
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
