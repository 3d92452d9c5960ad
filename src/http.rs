//! The HTTP door: events of API Gateway, function URLs and load balancers become requests, and replies become theirs.

mod home;

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, LambdaEvent, Request, RequestExt as _, Service as _, service_fn};
use serde::Serialize;

use crate::access::{AccessError, Permit};
use crate::app::{App, Asked, MAX_REPLY_BYTES};
use crate::bridge::Status;
use crate::commands::{CommandsRequest, RequestError};
use crate::json::{json_bytes, shown};
use crate::reply::{Failure, HealthReply, HealthSummary, Problem, ProblemName};
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
    let raw_path = path;
    let path = match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let answer = match (request.method(), path) {
        (&Method::POST, "/commands") => commands(app, &request, &request_id).await,
        (&Method::GET | &Method::HEAD, "/health") => Ok(health(app)),
        (&Method::GET | &Method::HEAD, "/health/detailed") => detailed_health(app, &request).await,
        (_, path) if path == "/api" || path.starts_with("/api/") => {
            home::pass_on(app, &raw_path["/api".len()..], &request).await
        }
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
    let caller = app.admit(bearer(request)?).await?;
    let body = std::str::from_utf8(request.body())
        .map_err(|_| RequestError::Shape("the request is not UTF-8 text".into()))?;
    let parsed = CommandsRequest::parse(body)?;
    let permit = Permit::of_commands(&caller, &parsed.commands)?;
    let asked = Asked {
        request: &parsed,
        permit: &permit,
        home: app.home_of(&caller, parsed.home.as_ref())?,
        subject: app.subject_of(&caller),
    };
    let context = request
        .lambda_context_ref()
        .ok_or(Failure::Event { kind: "http" })?;
    let deadline = app.deadline(context);
    let reply = app
        .run(&asked, context.tenant_id.as_deref(), deadline, request_id)
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

/// The token in the request, if there is one.
fn bearer(request: &Request) -> Result<Option<&str>, Failure> {
    let mut headers = request.headers().get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else {
        return Ok(None);
    };
    if headers.any(|other| other != header) {
        return Err(AccessError::TwoTokens.into());
    }
    let text = header.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(
            AccessError::Malformed("the Authorization header is not `Bearer` and a token").into(),
        ),
    }
}

/// How everything is, for those who may know.
async fn detailed_health(app: &App, request: &Request) -> Result<Response<Body>, Failure> {
    let caller = app.admit(bearer(request)?).await?;
    Permit::of_health(&caller)?;
    let seen = app
        .health()
        .filter(|(name, _)| match (&caller.tenant, name) {
            (Some(tenant), Some(name)) => tenant == name,
            _ => true,
        });
    let status = app.status();
    let reply = HealthReply::new(status, seen, app.clock.now());
    Ok(json(status_code(status), "application/json", &reply))
}

fn status_code(status: Status) -> StatusCode {
    match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// How latchkey is, from what it knows already: cheap enough for anyone to ask at any rate.
fn health(app: &App) -> Response<Body> {
    let status = app.status();
    let summary = HealthSummary::new(status, app.clock.now());
    json(status_code(status), "application/json", &summary)
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
