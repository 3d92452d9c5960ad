//! The first steps of every HTTP request: access proxy, path prefix, counters, faults and the ban.

use std::{io, sync::Arc};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use hyper::body::Incoming;

use super::{
    connection::Connection,
    response::{Body, LOGIN_PATH, login_page, status},
    rest, rest_fault, upgrade,
};
use crate::lock::locked;

/// Responds to one request.
///
/// # Errors
/// If the connection must be closed without a response.
pub(super) async fn respond(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let shared = &connection.shared;
    let has_headers = shared.options.required_headers.iter().all(|(name, value)| {
        request
            .headers()
            .get(name)
            .is_some_and(|given| given == value)
    });
    if !has_headers {
        return Ok(login_page());
    }
    let Some(path) = request.uri().path().strip_prefix(&shared.options.prefix) else {
        return Ok(status(StatusCode::NOT_FOUND));
    };
    let path = path.to_owned();
    let token = bearer_token(&request);
    shared.tally.count(|counters| {
        *counters.http_requests.entry(path.clone()).or_default() += 1;
        counters.config_checks += u64::from(path == "/api/config");
        if let Some(token) = token.clone() {
            *counters.tokens_presented.entry(token).or_default() += 1;
        }
    });
    if path == LOGIN_PATH {
        return Ok(login_page());
    }
    if path == upgrade::PATH {
        return upgrade::respond(&connection, request).await;
    }
    if let Some(fault) = shared.rest_fault.take(|fault| Some(fault.clone())) {
        shared.tally.count(|counters| counters.faults_hit += 1);
        return rest_fault::respond(&connection, fault).await;
    }
    if connection.is_banned() {
        return Ok(status(StatusCode::FORBIDDEN));
    }
    let is_authenticated =
        token.is_some_and(|token| locked(&shared.tokens).validate(&token).is_some());
    rest::respond(&connection, &path, request, is_authenticated).await
}

fn bearer_token(request: &Request<Incoming>) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    header.strip_prefix("Bearer ").map(str::to_owned)
}
