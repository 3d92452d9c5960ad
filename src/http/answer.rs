//! What every answer goes through on its way out: failures are explained, sizes checked, the request's id added.

use std::sync::Arc;

use axum::body::{self, Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lambda_http::RequestExt as _;
use serde::Serialize;

use crate::app::{App, MAX_REPLY_BYTES};
use crate::json::json_bytes;
use crate::reply::{Failure, Problem, ProblemName};

/// The header with the request's id: the one in problems and logs.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How much of an answer whoever asked can take, if that is less than Lambda can.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyLimit(pub(super) usize);

/// A failure on its way to where it is explained.
#[derive(Clone, Debug)]
pub(super) struct Refused(Failure);

impl<F: Into<Failure>> From<F> for Refused {
    fn from(failure: F) -> Self {
        Self(failure.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Makes what comes out of a route into what is sent.
pub(super) async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let request_id = request
        .lambda_context_ref()
        .map_or_else(String::new, |context| context.request_id.clone());
    let is_head = request.method() == Method::HEAD;
    let limit = request.extensions().get::<ReplyLimit>().copied();
    let ReplyLimit(limit_bytes) = limit.unwrap_or(ReplyLimit(MAX_REPLY_BYTES));
    let mut response = next.run(request).await;
    response = match response.extensions_mut().remove::<Refused>() {
        Some(Refused(failure)) => explained(&app, &failure, response.headers(), &request_id),
        None => match measured(response, limit_bytes).await {
            Ok(response) => response,
            Err(failure) => explained(&app, &failure, &HeaderMap::new(), &request_id),
        },
    };
    if is_head {
        // The router has seen to that but for problems.
        *response.body_mut() = Body::empty();
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A problem in place of what failed. `headers` are those that the router gave it.
fn explained(app: &App, failure: &Failure, headers: &HeaderMap, request_id: &str) -> Response {
    let problem = app.report(failure, request_id);
    let mut response = problem_response(&problem, request_id);
    // Which methods there are, of a route that has not the one asked for.
    if let Some(methods) = headers.get(ALLOW) {
        let methods = methods.clone();
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

fn problem_response(problem: &Problem, request_id: &str) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let document = problem.document(request_id, false);
    let mut response = json(status, "application/problem+json", &document);
    let headers = response.headers_mut();
    if problem.name == ProblemName::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = problem.retry_after {
        let seconds = wait.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The response, if what it comes to when it travels is not too much.
async fn measured(response: Response, limit_bytes: usize) -> Result<Response, Failure> {
    let (parts, body) = response.into_parts();
    let bytes = body::to_bytes(body, usize::MAX)
        .await
        .map_err(|_| Failure::Event { kind: "http" })?;
    let length = match text(&parts.headers, &bytes) {
        // A JSON string, whose escapes count.
        Some(text) => json_bytes(&text),
        None => bytes.len().div_ceil(3) * 4,
    };
    let headers = parts.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    // A load balancer gets them twice.
    let bytes_in_all = length + 2 * headers;
    if bytes_in_all > limit_bytes {
        return Err(Failure::ReplyTooLarge {
            bytes: bytes_in_all,
            limit_bytes,
        });
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// The body as text, if it is one.
pub(super) fn text<'a>(headers: &HeaderMap, bytes: &'a Bytes) -> Option<&'a str> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let is_text = kind.starts_with("text/") || kind.contains("json");
    let is_plain = is_text && !headers.contains_key(CONTENT_ENCODING);
    is_plain.then(|| std::str::from_utf8(bytes).ok())?
}

pub(super) fn json(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response {
    // None of what is answered has a map with keys other than strings, the one thing JSON cannot hold.
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
