//! The HTTP door: events of API Gateway, function URLs and load balancers become requests, and replies become theirs.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, LambdaEvent, Request, RequestExt as _, Service as _, service_fn};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::{App, MAX_REPLY_BYTES};
use crate::bridge::Status;
use crate::commands::{CommandsRequest, RequestError};
use crate::config::CallerAuth;
use crate::json::{json_bytes, shown};
use crate::reply::{Failure, Problem, ProblemName};
use crate::trigger::Trigger;

/// Reads an HTTP event of a known kind.
pub(crate) fn read(trigger: Trigger, payload: &str) -> Result<LambdaRequest, Failure> {
    let request = match trigger {
        Trigger::HttpV1 => serde_json::from_str(payload).map(LambdaRequest::ApiGatewayV1),
        Trigger::Alb => serde_json::from_str(payload).map(LambdaRequest::Alb),
        _ => serde_json::from_str(payload).map(LambdaRequest::ApiGatewayV2),
    };
    request.map_err(|_| Failure::Event {
        kind: trigger.name(),
    })
}

/// Serves a request and answers in the form that its sender expects.
pub(crate) async fn serve(
    app: Arc<App>,
    event: LambdaEvent<LambdaRequest>,
) -> impl Serialize + use<> {
    let stage = stage_prefix(&event.payload);
    let mut adapter = Adapter::from(service_fn(move |request: Request| {
        let (app, stage) = (app.clone(), stage.clone());
        async move { Ok::<_, Infallible>(route(&app, &stage, request).await) }
    }));
    adapter
        .call(event)
        .await
        .unwrap_or_else(|never: Infallible| match never {})
}

/// HTTP APIs put the name of a stage other than the default one in front of the path.
fn stage_prefix(request: &LambdaRequest) -> String {
    match request {
        LambdaRequest::ApiGatewayV2(request) => match request.request_context.stage.as_deref() {
            None | Some("$default") => String::new(),
            Some(stage) => format!("/{stage}"),
        },
        _ => String::new(),
    }
}

async fn route(app: &App, stage: &str, request: Request) -> Response<Body> {
    let request_id = request
        .lambda_context_ref()
        .map_or_else(String::new, |context| context.request_id.clone());
    let path = request.raw_http_path().to_owned();
    let path = path
        .strip_prefix(stage)
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(&path);
    let path = match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let answer = match (request.method(), path) {
        (&Method::POST, "/commands") => commands(app, &request, &request_id).await,
        (&Method::GET | &Method::HEAD, "/health") => Ok(health(app)),
        (method, path) => Err(Failure::NotFound {
            method: shown(method.as_str()),
            path: shown(path),
        }),
    };
    answer.unwrap_or_else(|failure| {
        let problem = app.report(&failure, &request_id);
        problem_response(&problem, &request_id)
    })
}

async fn commands(
    app: &App,
    request: &Request,
    request_id: &str,
) -> Result<Response<Body>, Failure> {
    match app.caller_auth {
        CallerAuth::None => {}
        CallerAuth::Jwt => return Err(Failure::Unauthenticated),
    }
    let body = std::str::from_utf8(request.body())
        .map_err(|_| RequestError::Shape("the request is not UTF-8 text".into()))?;
    let parsed = CommandsRequest::parse(body)?;
    let context = request
        .lambda_context_ref()
        .ok_or(Failure::Event { kind: "http" })?;
    let deadline = app.deadline(context);
    let reply = app
        .run(&parsed, context.tenant_id.as_deref(), deadline, request_id)
        .await?;
    let response = json(StatusCode::OK, "application/json", &reply);
    drop(reply);
    // The body travels as a JSON string, whose escapes count.
    let bytes = match response.body() {
        Body::Text(text) => json_bytes(text),
        _ => 0,
    };
    if bytes > MAX_REPLY_BYTES {
        return Err(Failure::ReplyTooLarge { bytes });
    }
    Ok(response)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    timestamp: String,
}

/// How latchkey is, from what it knows already: cheap enough for anyone to ask at any rate.
fn health(app: &App) -> Response<Body> {
    let status = app.status();
    let code = match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let now = OffsetDateTime::UNIX_EPOCH + app.clock.now().unix;
    json(
        code,
        "application/json",
        &Health {
            status: status.name(),
            service: "latchkey",
            timestamp: now.format(&Rfc3339).unwrap_or_default(),
        },
    )
}

fn problem_response(problem: &Problem, request_id: &str) -> Response<Body> {
    let status =
        StatusCode::from_u16(problem.name.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let document = problem.document(request_id, false);
    let mut response = json(status, "application/problem+json", &document);
    if problem.name == ProblemName::Unauthenticated {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    }
    response
}

fn json(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response<Body> {
    // None of the types above has a map with keys other than strings, the one thing JSON cannot hold.
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut response = Response::new(Body::Text(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
