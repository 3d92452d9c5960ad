//! Health endpoints.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::answer::{Refused, json};
use super::shared::Shared;
use crate::doors::callers_token::token;
use crate::doors::reply::{HealthReply, HealthSummary};
use crate::home::bridge::Status;
use crate::service::access::Permit;
use crate::service::app::App;

/// Returns the health in one word, from known state. The request is cheap, so anyone may send it at any rate.
pub(super) async fn summary(State(Shared { app, .. }): State<Shared>) -> Response {
    let status = app.status();
    let summary = HealthSummary::new(status, app.clock.now());
    json(status_code(status), "application/json", &summary)
}

/// Returns the detailed health to authorised callers.
pub(super) async fn detailed(
    State(Shared { app, origins }): State<Shared>,
    request: Request,
) -> Result<Response, Refused> {
    let caller = app.admit(token(request.headers(), &origins)?).await?;
    Permit::of_health(&caller)?;
    let seen: Vec<_> = app.health_for(&caller).collect();
    let status = App::status_of(seen.iter().map(|(_, health)| health.status));
    let reply = HealthReply::new(status, seen.into_iter(), app.clock.now());
    Ok(json(status_code(status), "application/json", &reply))
}

fn status_code(status: Status) -> StatusCode {
    match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    }
}
