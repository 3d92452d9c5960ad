//! Events of API Gateway, function URLs and load balancers become requests, and answers become theirs.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::Router;
use axum::body::{self, Body, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, Uri};
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Request, RequestExt as _, Service as _, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::answer::{ReplyLimit, is_text};
use super::base_path::BasePath;
use crate::app::{App, MAX_REPLY_BYTES};
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

/// What a load balancer takes for an answer, less what goes around its body.
const LOAD_BALANCER_BYTES: usize = (1 << 20) - 4_096;

/// Longer ones no sender takes; and no URL can hold 64 KB.
const MAX_TARGET_BYTES: usize = 32 << 10;

/// Reads an HTTP event of a known kind: the request without its body, and that.
fn read(trigger: Trigger, payload: &str) -> Result<(LambdaRequest, Bytes), Failure> {
    let request = match trigger {
        Trigger::HttpV1 => serde_json::from_str(payload).map(LambdaRequest::ApiGatewayV1),
        Trigger::Alb => serde_json::from_str(payload).map(LambdaRequest::Alb),
        _ => serde_json::from_str(payload).map(LambdaRequest::ApiGatewayV2),
    };
    let request = request.ok().and_then(tidied);
    request.ok_or(Failure::Event {
        kind: trigger.name(),
    })
}

/// The event without what its conversion into a request would stumble over or lose, and its body; nothing if it cannot be
/// converted.
///
/// The conversion makes a URL of host and path and panics when it cannot; nobody here asks for the host. It panics over bodies
/// that are no base64 and over lists of no values, too. And it prefers a header's last value to all of them.
fn tidied(mut request: LambdaRequest) -> Option<(LambdaRequest, Bytes)> {
    let (path, query_bytes, body, is_base64) = match &mut request {
        LambdaRequest::ApiGatewayV1(request) => {
            request.request_context.domain_name = None;
            one_of(&mut request.headers, &mut request.multi_value_headers);
            // Such an API takes base64 for text, unless it was told of binary media types.
            request.headers.remove(ACCEPT_ENCODING);
            request.multi_value_headers.remove(ACCEPT_ENCODING);
            let single = length_with_values(&mut request.query_string_parameters);
            let multi = length_with_values(&mut request.multi_value_query_string_parameters);
            let body = request.body.take();
            (
                &mut request.path,
                single.max(multi),
                body,
                request.is_base64_encoded,
            )
        }
        LambdaRequest::ApiGatewayV2(request) => {
            let query = request.raw_query_string.as_deref();
            let query = query.map(|query| utf8_percent_encode(query, QUERY).to_string());
            let query_bytes = query.as_deref().map_or(0, str::len);
            request.raw_query_string = query;
            request.request_context.domain_name = None;
            request.headers.remove(HOST);
            let body = request.body.take();
            (
                &mut request.raw_path,
                query_bytes,
                body,
                request.is_base64_encoded,
            )
        }
        LambdaRequest::Alb(request) => {
            one_of(&mut request.headers, &mut request.multi_value_headers);
            let single = length_with_values(&mut request.query_string_parameters);
            let multi = length_with_values(&mut request.multi_value_query_string_parameters);
            let body = request.body.take();
            (
                &mut request.path,
                single.max(multi),
                body,
                request.is_base64_encoded,
            )
        }
        _ => return None,
    };
    *path = path.as_deref().map(path_of);
    let target_bytes = path.as_deref().map_or(0, str::len) + query_bytes;
    let body = body.unwrap_or_default();
    let body = match is_base64 {
        true => STANDARD.decode(body).ok()?.into(),
        false => body.into(),
    };
    (target_bytes <= MAX_TARGET_BYTES).then_some((request, body))
}

/// Leaves out parameters that have no value, and tells how long the rest is.
fn length_with_values(parameters: &mut QueryMap) -> usize {
    let lists = serde_json::to_value(&*parameters).unwrap_or_default();
    let lists: HashMap<String, Vec<String>> = serde_json::from_value(lists).unwrap_or_default();
    if lists.values().any(Vec::is_empty) {
        let full = lists.into_iter().filter(|(_, values)| !values.is_empty());
        *parameters = QueryMap::from(full.collect::<HashMap<_, _>>());
    }
    parameters.to_query_string().len()
}

/// A path that begins with a slash, and has nothing in it that a path cannot have: some senders decode it.
fn path_of(path: &str) -> String {
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

/// An answer in the form that the sender of the event expects.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<A> {
    Served(A),
    Refused(Refusal),
}

/// The answer to an event that could not be read, in a form that all senders take.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    status_code: u16,
    headers: HashMap<&'static str, &'static str>,
    multi_value_headers: HashMap<&'static str, [&'static str; 1]>,
    body: String,
    is_base64_encoded: bool,
}

/// Serves a request and answers in the form that its sender expects.
pub(crate) async fn serve(
    app: &App,
    router: Router,
    base_path: &BasePath,
    trigger: Trigger,
    event: LambdaEvent<&str>,
) -> impl Serialize + use<> {
    let LambdaEvent { payload, context } = event;
    let (request, body) = match read(trigger, payload) {
        Ok(read) => read,
        Err(failure) => return Answer::Refused(refusal(app, &failure, &context.request_id)),
    };
    let prefix = base_path.of(&request);
    let limit = match request {
        LambdaRequest::Alb(_) => ReplyLimit(LOAD_BALANCER_BYTES),
        _ => ReplyLimit(MAX_REPLY_BYTES),
    };
    let mut adapter = Adapter::from(service_fn(move |request: Request| {
        let mut router = router.clone();
        let mut request = at_home(request, &prefix).map(|_| Body::from(body.clone()));
        request.extensions_mut().insert(limit);
        async move {
            let Ok(response) = router.call(request).await;
            Ok::<_, Infallible>(carried(response).await)
        }
    }));
    let Ok(answer) = adapter.call(LambdaEvent::new(request, context)).await;
    Answer::Served(answer)
}

fn refusal(app: &App, failure: &Failure, request_id: &str) -> Refusal {
    const TYPE: (&str, &str) = ("content-type", "application/problem+json");
    let problem = app.report(failure, request_id);
    let document = problem.document(request_id, false);
    Refusal {
        status_code: problem.status,
        headers: [TYPE].into(),
        multi_value_headers: [(TYPE.0, [TYPE.1])].into(),
        // A document has no maps with keys other than strings, the one thing JSON cannot hold.
        body: serde_json::to_string(&document).unwrap_or_default(),
        is_base64_encoded: false,
    }
}

/// The request with the path that it has here, without what stands before that outside.
fn at_home(mut request: Request, prefix: &str) -> Request {
    let path = request.raw_http_path();
    let rest = path.strip_prefix(prefix).unwrap_or(path);
    let mut target = if rest.is_empty() { "/" } else { rest }.to_owned();
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    // It was made of parts of a URI, so it is one.
    *request.uri_mut() = Uri::try_from(target).unwrap_or_default();
    request
}

/// The response as it travels: a text as a JSON string, anything else as base64.
async fn carried(response: Response<Body>) -> Response<lambda_http::Body> {
    let (mut parts, body) = response.into_parts();
    // It is in memory already, and its length that of another form.
    let bytes = body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    join_repeated(&mut parts.headers);
    let body = match String::from_utf8(bytes.into()) {
        Ok(text) if text.is_empty() => lambda_http::Body::Empty,
        Ok(text) if is_text(&parts.headers) => lambda_http::Body::Text(text),
        Ok(text) => lambda_http::Body::Binary(text.into_bytes()),
        Err(error) => lambda_http::Body::Binary(error.into_bytes()),
    };
    Response::from_parts(parts, body)
}

/// HTTP APIs and function URLs take one value a header: several are one list. (Cookies have a place of their own.)
fn join_repeated(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| *name != SET_COOKIE)
        .cloned()
        .collect();
    for name in names {
        let values: Vec<&[u8]> = headers
            .get_all(&name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if values.len() > 1
            && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b", "[..]))
        {
            headers.insert(name, joined);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_become_a_list_but_for_cookies() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("vary", "origin"),
            ("vary", "accept-encoding"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("etag", "x"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        join_repeated(&mut headers);
        assert_eq!(headers["vary"], "origin, accept-encoding");
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(headers["etag"], "x");
    }
}
