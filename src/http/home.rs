//! Home Assistant's own REST API, for clients that know nothing of latchkey.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use super::answer::Refused;
use super::callers_token::token;
use super::router::Shared;
use super::{body_of, context_of};
use crate::access::{Permit, RestRequest};
use crate::home_assistant::{RestAnswer, RestCall};

/// Passes a request on.
pub(super) async fn pass_on(
    State(Shared { app, origins }): State<Shared>,
    request: Request,
) -> Result<Response, Refused> {
    let caller = app.admit(token(request.headers(), &origins)?).await?;
    let context = context_of(&request)?;
    let (parts, body) = request.into_parts();
    let body = body_of(Request::new(body)).await?;
    let path = parts.uri.path();
    let path = path.strip_prefix("/api").unwrap_or(path);
    let query = parts.uri.query().unwrap_or_default();
    let mut asked = RestRequest::new(parts.method.as_str(), path, query, &body)?;
    if asked.is_call() {
        asked = asked.with_readable_body(!body.is_empty())?;
    }
    let permit = Permit::of_rest(&caller, &asked)?;
    let (path, query) = asked.target();
    let (headers, body) = if asked.is_call() {
        decided(parts.headers, &asked)
    } else {
        (parts.headers, body)
    };
    let call = RestCall {
        method: match parts.method {
            Method::HEAD => Method::GET,
            method => method,
        },
        path,
        query,
        headers,
        body,
    };
    let home = app.home_of(&caller, None)?;
    let answer = app.pass_on(&call, &permit, home, &context).await?;
    Ok(response(answer, &permit, &asked))
}

/// The body of a call as it was read and decided on, written anew: what the caller sent could mean something else to a home
/// that reads it by another charset, or takes another one of two members of the same name.
fn decided(mut headers: HeaderMap, asked: &RestRequest) -> (HeaderMap, Bytes) {
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    let body = asked.body().map(ToString::to_string).unwrap_or_default();
    (headers, body.into())
}

/// The home's answer, as it is, but for what may not be seen of it.
fn response(answer: RestAnswer, permit: &Permit, asked: &RestRequest) -> Response {
    let mut headers = answer.headers;
    let cut = answer
        .status
        .is_success()
        .then(|| permit.cut(asked, &answer.body));
    let body = match cut.flatten() {
        Some(seen) => {
            headers.remove(CONTENT_ENCODING);
            Body::from(seen)
        }
        None => Body::from(answer.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}
