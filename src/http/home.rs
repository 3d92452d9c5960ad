//! Home Assistant's own REST API, for clients that know nothing of latchkey.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response};
use lambda_http::{Body, Request, RequestExt as _};

use super::bearer;
use crate::access::{Permit, RestRequest};
use crate::app::{App, MAX_REPLY_BYTES};
use crate::home_assistant::{RestAnswer, RestCall};
use crate::json::json_bytes;
use crate::reply::Failure;

/// The largest body that is passed on; Lambda takes no larger request.
const MAX_BODY_BYTES: usize = 6 << 20;

/// Passes a request on. `path` is what follows `/api`.
pub(super) async fn pass_on(
    app: &App,
    path: &str,
    request: &Request,
) -> Result<Response<Body>, Failure> {
    let caller = app.admit(bearer(request)?).await?;
    let body: &[u8] = request.body();
    if body.len() > MAX_BODY_BYTES {
        return Err(Failure::ReplyTooLarge { bytes: body.len() });
    }
    let query = request.uri().query().unwrap_or_default();
    let mut asked = RestRequest::new(request.method().as_str(), path, query, body)?;
    if asked.is_call() {
        asked = asked.with_readable_body(!body.is_empty())?;
    }
    let permit = Permit::of_rest(&caller, &asked)?;
    let is_head = request.method() == Method::HEAD;
    let (path, query) = asked.target();
    let (headers, body) = if asked.is_call() {
        decided(request, &asked)
    } else {
        (
            request.headers().clone(),
            bytes::Bytes::copy_from_slice(body),
        )
    };
    let call = RestCall {
        method: if is_head {
            Method::GET
        } else {
            request.method().clone()
        },
        path,
        query,
        headers,
        body,
    };
    let context = request
        .lambda_context_ref()
        .ok_or(Failure::Event { kind: "http" })?;
    let home = app.home_of(&caller, None)?;
    let answer = app.pass_on(&call, &permit, home, context).await?;
    response(answer, &permit, &asked, is_head)
}

/// The body of a call as it was read and decided on, written anew: what the caller sent could mean something else to a home
/// that reads it by another charset, or takes another one of two members of the same name.
fn decided(request: &Request, asked: &RestRequest) -> (HeaderMap, bytes::Bytes) {
    let mut headers = request.headers().clone();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    let body = asked.body().map(ToString::to_string).unwrap_or_default();
    (headers, body.into())
}

/// The home's answer, as it is, but for what may not be seen of it.
fn response(
    answer: RestAnswer,
    permit: &Permit,
    asked: &RestRequest,
    is_head: bool,
) -> Result<Response<Body>, Failure> {
    let is_text = answer
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/") || kind.contains("json"));
    let body = match String::from_utf8(answer.body.into()) {
        _ if is_head => Body::Empty,
        Ok(text) if is_text && answer.status.is_success() => {
            // What is not understood is not shown.
            Body::Text(
                permit
                    .visible_body(asked, text)
                    .unwrap_or_else(|| "[]".into()),
            )
        }
        Ok(text) if is_text => Body::Text(text),
        Ok(text) => Body::Binary(text.into_bytes()),
        Err(error) => Body::Binary(error.into_bytes()),
    };
    // A text travels as a JSON string, whose escapes count; anything else as base64.
    let bytes = match &body {
        Body::Text(text) => json_bytes(text),
        Body::Binary(bytes) => bytes.len().div_ceil(3) * 4,
        _ => 0,
    };
    if bytes > MAX_REPLY_BYTES {
        return Err(Failure::ReplyTooLarge { bytes });
    }
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(CONTENT_LENGTH);
    Ok(response)
}
