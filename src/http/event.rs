//! Events of API Gateway, function URLs and load balancers become requests, and answers become theirs.

use std::convert::Infallible;

use axum::Router;
use axum::body::{self, Body};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Response, Uri};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Request, RequestExt as _, Service as _, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::answer::text;
use super::base_path::BasePath;
use crate::reply::Failure;
use crate::trigger::Trigger;

/// What cannot stand in a query as it is.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What cannot stand in a path as it is.
const PATH: &AsciiSet = &QUERY.add(b'?');

/// Reads an HTTP event of a known kind.
pub(crate) fn read(trigger: Trigger, payload: &str) -> Result<LambdaRequest, Failure> {
    let request = match trigger {
        Trigger::HttpV1 => serde_json::from_str(payload).map(LambdaRequest::ApiGatewayV1),
        Trigger::Alb => serde_json::from_str(payload).map(LambdaRequest::Alb),
        _ => serde_json::from_str(payload).map(LambdaRequest::ApiGatewayV2),
    };
    let request = request.map_err(|_| Failure::Event {
        kind: trigger.name(),
    });
    request.map(tidied)
}

/// The event without what its conversion into a request would stumble over or lose.
///
/// The conversion makes a URL of host and path and panics when it cannot; nobody here asks for the host. And it prefers a
/// header's last value to all of them.
fn tidied(mut request: LambdaRequest) -> LambdaRequest {
    match &mut request {
        LambdaRequest::ApiGatewayV1(request) => {
            request.path = request.path.as_deref().map(path);
            request.request_context.domain_name = None;
            one_of(&mut request.headers, &mut request.multi_value_headers);
        }
        LambdaRequest::ApiGatewayV2(request) => {
            request.raw_path = request.raw_path.as_deref().map(path);
            let query = request.raw_query_string.as_deref();
            request.raw_query_string =
                query.map(|query| utf8_percent_encode(query, QUERY).to_string());
            request.request_context.domain_name = None;
            request.headers.remove(HOST);
        }
        LambdaRequest::Alb(request) => {
            request.path = request.path.as_deref().map(path);
            one_of(&mut request.headers, &mut request.multi_value_headers);
        }
        _ => {}
    }
    request
}

/// A path that begins with a slash, and has nothing in it that a path cannot have: some senders decode it.
fn path(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(path, PATH))
}

fn one_of(headers: &mut HeaderMap, multi_value_headers: &mut HeaderMap) {
    if !multi_value_headers.is_empty() {
        headers.clear();
    }
    headers.remove(HOST);
    multi_value_headers.remove(HOST);
}

/// Serves a request and answers in the form that its sender expects.
pub(crate) async fn serve(
    router: Router,
    base_path: &BasePath,
    event: LambdaEvent<LambdaRequest>,
) -> impl Serialize + use<> {
    let prefix = base_path.of(&event.payload);
    let mut adapter = Adapter::from(service_fn(move |request: Request| {
        let mut router = router.clone();
        let request = at_home(request, &prefix);
        async move {
            let Ok(response) = router.call(request).await;
            Ok::<_, Infallible>(carried(response).await)
        }
    }));
    let Ok(answer) = adapter.call(event).await;
    answer
}

/// The request with the path that it has here, without what stands before that outside.
fn at_home(mut request: Request, prefix: &str) -> http::Request<Body> {
    let path = request.raw_http_path();
    let rest = path.strip_prefix(prefix).unwrap_or(path);
    let mut target = if rest.is_empty() { "/" } else { rest }.to_owned();
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    // It was made of parts of a URI, so it is one.
    *request.uri_mut() = Uri::try_from(target).unwrap_or_default();
    request.map(Body::new)
}

/// The response as it travels: a text as a JSON string, anything else as base64.
async fn carried(response: Response<Body>) -> Response<lambda_http::Body> {
    let (mut parts, body) = response.into_parts();
    // It is in memory already, and its length that of another form.
    let bytes = body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let body = match text(&parts.headers, &bytes) {
        _ if bytes.is_empty() => lambda_http::Body::Empty,
        Some(text) => lambda_http::Body::Text(text.to_owned()),
        None => lambda_http::Body::Binary(bytes.into()),
    };
    Response::from_parts(parts, body)
}
