//! The HTTP door: one router behind API Gateway, function URLs, load balancers and local ports.

mod answer;
mod base_path;
mod commands;
mod connections;
mod event;
mod events;
mod health;
mod home;
mod router;
mod shared;

use axum::body::{self, Bytes};
use axum::extract::Request;
use lambda_runtime::Context;

use crate::base::json::MemberError;
use crate::doors::invocation::invocation;
use crate::service::app::{App, Invocation};
use crate::service::failure::Failure;

pub(crate) use base_path::BasePath;
pub(crate) use event::serve;
pub(crate) use router::router;

/// The largest request body that is read. Lambda accepts no larger request.
const MAX_BODY_BYTES: usize = 6 << 20;

/// Returns the invocation of a request.
fn invocation_of(app: &App, request: &Request) -> Result<Invocation, Failure> {
    let context = request.extensions().get::<Context>();
    let invocation = context.map(|context| invocation(app, context));
    invocation.ok_or_else(|| Failure::Member {
        kind: "http",
        error: MemberError::new("context", "of the invocation is missing"),
    })
}

async fn body_of(request: Request) -> Result<Bytes, Failure> {
    // The error does not name its cause. The size limit is the only possible cause.
    body::to_bytes(request.into_body(), MAX_BODY_BYTES)
        .await
        .map_err(|_| Failure::RequestTooLarge {
            limit_bytes: MAX_BODY_BYTES,
        })
}
