//! The last step of every response: failures are rendered, sizes are checked, and the request ID is added.

use std::error::Error;
use std::sync::Arc;

use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lambda_runtime::Context;
use serde::Serialize;

use crate::base::clock::Limit;
use crate::base::json::json_bytes;
use crate::doors::invocation::invocation;
use crate::doors::reply::{MAX_REPLY_BYTES, Problem, ROOM_FOR_THE_REST, report};
use crate::home::home_assistant::{BrokenAnswer, HomeError, Stage};
use crate::service::app::{App, Room};
use crate::service::failure::{Failure, ProblemName};

/// The header with the request ID, which problems and logs also contain.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The size limit of a response to a sender that takes a response only as a whole, in bytes. A response to a request
/// without this limit is streamed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyLimit(pub(super) usize);

/// Returns the room for results in the response to a request.
pub(super) fn room(request: &Request) -> Room {
    let limit = request.extensions().get::<ReplyLimit>();
    let Some(ReplyLimit(limit_bytes)) = limit.copied() else {
        return Room {
            bytes: usize::MAX,
            is_in_string: false,
        };
    };
    let accepted = request.headers().get(ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    // The compressed size is not known before compression. The limit is then only on the bytes in memory.
    let is_compressed = accepted.is_some_and(takes_gzip);
    let bytes = if is_compressed {
        MAX_REPLY_BYTES
    } else {
        limit_bytes
    };
    Room {
        bytes: bytes.saturating_sub(ROOM_FOR_THE_REST),
        is_in_string: !is_compressed,
    }
}

/// Returns true if a list of encodings contains gzip with a weight above zero.
fn takes_gzip(encodings: &str) -> bool {
    let mut encodings = encodings.split(',').map(|encoding| {
        let (name, weight) = encoding.split_once(';').unwrap_or((encoding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        (name.trim(), weight.parse().unwrap_or(1.0_f32))
    });
    encodings.any(|(name, weight)| name.eq_ignore_ascii_case("gzip") && weight > 0.0)
}

/// True if the request may have changed something, so a broken response means that the outcome is unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct MayHaveActed(pub(super) bool);

/// A failure on its way to `finish`, which renders it.
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

/// Turns the response of a route into the response for the sender.
pub(super) async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<Context>().cloned();
    let context = context.unwrap_or_default();
    let request_id = context.request_id.clone();
    let is_head = request.method() == Method::HEAD;
    let limit = request.extensions().get::<ReplyLimit>().copied();
    let mut response = next.run(request).await;
    let refused = response.extensions_mut().remove::<Refused>();
    // The allowed methods, if the route does not have the requested method.
    let methods = refused
        .as_ref()
        .and_then(|_| response.headers().get(ALLOW).cloned());
    let outcome = match (refused, limit) {
        (Some(Refused(failure)), _) => Err(failure),
        (None, Some(limit)) => {
            measured(response, limit, app.time_left(&invocation(&app, &context))).await
        }
        // A response without a size limit is streamed.
        (None, None) => Ok(response),
    };
    response = outcome.unwrap_or_else(|failure| {
        let problem = report(&app, &failure, &request_id);
        problem_response(&problem, methods, &request_id)
    });
    if is_head {
        // The router has removed the body already, except from problems.
        *response.body_mut() = Body::empty();
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

pub(super) fn problem_response(
    problem: &Problem,
    methods: Option<HeaderValue>,
    request_id: &str,
) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let document = problem.document(request_id, false);
    let mut response = json(status, "application/problem+json", &document);
    let headers = response.headers_mut();
    if problem.name == ProblemName::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(methods) = methods {
        headers.insert(ALLOW, methods);
    }
    if let Some(wait) = problem.retry_after {
        let seconds = wait.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn out_of_time(acts: Option<MayHaveActed>) -> BrokenAnswer {
    BrokenAnswer {
        error: HomeError::DeadlineExceeded {
            stage: Stage::Command,
        },
        may_have_acted: acts.is_some_and(|MayHaveActed(acts)| acts),
    }
}

/// Returns the response if all of it arrives in time and if its encoded size is within the limit.
async fn measured(
    response: Response,
    limit: ReplyLimit,
    time_left: Limit,
) -> Result<Response, Failure> {
    let ReplyLimit(limit_bytes) = limit;
    let (parts, body) = response.into_parts();
    let gathered = body::to_bytes(body, limit_bytes);
    let bytes = tokio::time::timeout(time_left.duration, gathered)
        .await
        .map_err(|_| out_of_time(parts.extensions.get().copied()))?
        .map_err(|error| {
            // A response that is not broken is too long.
            broken_answer(&error).map_or(Failure::ReplyTooLarge { limit_bytes }, Failure::from)
        })?;
    let text = std::str::from_utf8(&bytes).ok();
    let length = match text.filter(|_| is_text(&parts.headers)) {
        // The length of a JSON string includes its escapes.
        Some(text) => json_bytes(&text),
        None => bytes.len().div_ceil(3) * 4,
    };
    let headers = parts.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    // A load balancer gets the headers twice.
    if length + 2 * headers > limit_bytes {
        return Err(Failure::ReplyTooLarge { limit_bytes });
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// Returns the broken response among the causes of an error.
fn broken_answer(error: &axum::Error) -> Option<BrokenAnswer> {
    let mut cause: &(dyn Error + 'static) = error;
    loop {
        if let Some(broken) = cause.downcast_ref::<BrokenAnswer>() {
            return Some(broken.clone());
        }
        let io = cause.downcast_ref::<std::io::Error>();
        // The inner error of an I/O error is not its source.
        cause = match io.and_then(std::io::Error::get_ref) {
            Some(inside) => inside,
            None => cause.source()?,
        };
    }
}

/// Returns true if the headers describe a text body. A text in base64 would be larger, and some senders pass base64 on
/// without decoding it.
pub(super) fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.contains("json")
        || kind == "application/javascript"
        || ["xml", "yaml"].iter().any(|format| kind.ends_with(format))
}

pub(super) fn json(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response {
    // Serialisation fails only for maps with keys that are not strings, and no body has such a map.
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
