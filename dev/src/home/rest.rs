//! The REST routes, and what stands in their place while a fault is armed.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use futures_util::stream;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use serde_json::{Value, json};

use super::{
    RestFault, Shared, entity, locked,
    server::Connection,
    service::{self, Service},
    socket,
};

/// Any body this home sends.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

const LOGIN_PATH: &str = "/cdn-cgi/access/login";
const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
    <body><h1>Sign in to continue</h1><form method=\"post\"></form></body></html>\n";
const HUGE_BODY_CHUNK_BYTES: usize = 64 << 10;
const ENDLESS_HEADER: &[u8] =
    b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

/// Answers one request; `Err` closes the connection without an answer.
pub(super) async fn answer(
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
    if path == socket::PATH {
        return socket::upgrade(&connection, request).await;
    }
    if let Some(fault) = shared.rest_fault.take(|fault| Some(fault.clone())) {
        shared.tally.count(|counters| counters.faults_hit += 1);
        return misbehave(&connection, fault).await;
    }
    if is_banned(&connection) {
        return Ok(status(StatusCode::FORBIDDEN));
    }
    let is_known = token.is_some_and(|token| locked(&shared.tokens).validate(&token).is_some());
    route(&connection, &path, request, is_known).await
}

pub(super) fn is_banned(connection: &Connection) -> bool {
    locked(&connection.shared.bans).is_banned(connection.peer)
}

/// Counts a strike towards the ban.
pub(super) fn login_failed(connection: &Connection) {
    locked(&connection.shared.bans).login_failed(connection.peer);
    connection
        .shared
        .tally
        .count(|counters| counters.failed_logins += 1);
}

fn bearer_token(request: &Request<Incoming>) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    header.strip_prefix("Bearer ").map(str::to_owned)
}

async fn route(
    connection: &Connection,
    path: &str,
    request: Request<Incoming>,
    is_known: bool,
) -> io::Result<Response<Body>> {
    let shared = &connection.shared;
    let method = request.method().clone();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (allowed, action): (Method, Action<'_>) = match segments.as_slice() {
        ["api", ""] => (Method::GET, Action::Status),
        ["api", "config"] => (Method::GET, Action::Config),
        ["api", "states"] => (Method::GET, Action::States),
        ["api", "states", entity_id] => (Method::GET, Action::State(entity_id)),
        ["api", "services"] => (Method::GET, Action::Services),
        ["api", "services", domain, name] => (Method::POST, Action::Call(domain, name)),
        _ => return Ok(status(StatusCode::NOT_FOUND)),
    };
    if method != allowed {
        return Ok(status(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !is_known {
        login_failed(connection);
        return Ok(status(StatusCode::UNAUTHORIZED));
    }
    Ok(match action {
        Action::Status => json_body(&json!({"message": "API running."})),
        Action::Config => json_body(&config(shared)),
        Action::States => json_text(locked(&shared.entities).states_json()),
        Action::State(entity_id) => match locked(&shared.entities).state_json(entity_id) {
            Some(state) => json_body(&state),
            None => message(StatusCode::NOT_FOUND, "Entity not found."),
        },
        Action::Services => json_body(&services()),
        Action::Call(domain, name) => {
            let body = request
                .into_body()
                .collect()
                .await
                .map_err(io::Error::other)?;
            call(shared, domain, name, &body.to_bytes())
        }
    })
}

enum Action<'a> {
    Status,
    Config,
    States,
    State(&'a str),
    Services,
    Call(&'a str, &'a str),
}

fn call(shared: &Shared, domain: &str, name: &str, body: &[u8]) -> Response<Body> {
    let data = if body.is_empty() {
        None
    } else {
        match serde_json::from_slice::<Value>(body) {
            Ok(data) => Some(data),
            Err(_) => return message(StatusCode::BAD_REQUEST, "Data should be valid JSON."),
        }
    };
    let Some(service) = Service::find(domain, name) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let Ok((events, _)) = shared.execute(service, data.as_ref(), None) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let changed: Vec<&Value> = events
        .iter()
        .map(|event| &event["data"]["new_state"])
        .collect();
    json_body(&json!(changed))
}

impl Shared {
    /// Runs a service and tells subscribers: the events and the context, or Home Assistant's
    /// message for `invalid_format`.
    pub(super) fn execute(
        &self,
        service: Service,
        data: Option<&Value>,
        target: Option<&Value>,
    ) -> Result<(Vec<Value>, Value), String> {
        let context = entity::context();
        let (call, events) = {
            let mut entities = locked(&self.entities);
            let call = service.check(data, target, &entities)?;
            let events = entities.run(service, &call, &context);
            (call, events)
        };
        self.tally
            .count(|counters| counters.service_calls.push(call));
        self.publish(events.iter().cloned());
        Ok((events, context))
    }
}

/// What `/api/config` and `get_config` answer: the home's location among it.
pub(super) fn config(shared: &Shared) -> Value {
    json!({
        "allowlist_external_dirs": ["/config/www", "/media"],
        "allowlist_external_urls": [],
        "components": ["api", "auth", "cover", "http", "light", "lock", "switch", "websocket_api"],
        "config_dir": "/config",
        "config_source": "storage",
        "country": "NL",
        "currency": "EUR",
        "debug": false,
        "elevation": 2,
        "external_url": null,
        "internal_url": null,
        "language": "en",
        "latitude": 52.373_8,
        "location_name": "Simulated home",
        "longitude": 4.890_9,
        "radius": 100,
        "recovery_mode": false,
        "safe_mode": false,
        "state": "RUNNING",
        "time_zone": "Europe/Amsterdam",
        "unit_system": {
            "accumulated_precipitation": "mm", "area": "m²", "length": "km", "mass": "g",
            "pressure": "Pa", "temperature": "°C", "volume": "L", "wind_speed": "m/s",
        },
        "version": shared.options.ha_version,
        "whitelist_external_dirs": ["/config/www", "/media"],
    })
}

fn services() -> Value {
    let Value::Object(domains) = service::services_json() else {
        return Value::Null;
    };
    domains
        .into_iter()
        .map(|(domain, services)| json!({"domain": domain, "services": services}))
        .collect()
}

async fn misbehave(connection: &Connection, fault: RestFault) -> io::Result<Response<Body>> {
    let mut config = config(&connection.shared);
    Ok(match fault {
        RestFault::Hang => match std::future::pending::<Infallible>().await {},
        RestFault::Status(code) => status(status_code(code)),
        RestFault::Redirect => redirect(),
        RestFault::Html => login_page(),
        RestFault::Challenge => {
            let mut response = status(StatusCode::UNAUTHORIZED);
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            response
        }
        RestFault::Text => with_type(StatusCode::OK, "text/plain", "OK".to_owned()),
        RestFault::NotJson => json_text("{\"version\": \"2025".to_owned()),
        RestFault::EmptyJson => json_body(&json!({})),
        RestFault::NoVersion => {
            if let Value::Object(fields) = &mut config {
                fields.remove("version");
            }
            json_body(&config)
        }
        RestFault::JsonArray => json_body(&json!([config])),
        RestFault::Close => {
            connection.wire.close().await;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        RestFault::Reset => {
            connection.wire.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        RestFault::HalfOpen => {
            connection.wire.freeze().await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        RestFault::CutBody => cut_body(config.to_string()),
        RestFault::SlowBody(each) => slow_body(config.to_string(), each),
        RestFault::HugeBody(bytes) => {
            let version = &connection.shared.options.ha_version;
            huge_body(format!(r#"{{"version":"{version}","filler":""#), bytes)
        }
        RestFault::EndlessHeaders => {
            connection.wire.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                connection.wire.write_all(ENDLESS_HEADER).await?;
            }
        }
    })
}

/// A body that ends short of its length: hyper closes the connection on an error.
fn cut_body(text: String) -> Response<Body> {
    let length = text.len();
    let half = Bytes::from(text).slice(..length / 2);
    let chunks = [
        Ok(Frame::data(half)),
        Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    ];
    let mut response = json_response(StreamBody::new(stream::iter(chunks)).boxed_unsync());
    response
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn slow_body(text: String, each: Duration) -> Response<Body> {
    let bytes = stream::unfold(Bytes::from(text), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(each).await;
        let byte = rest.split_to(1);
        Some((Ok(Frame::data(byte)), rest))
    });
    json_response(StreamBody::new(bytes).boxed_unsync())
}

fn huge_body(head: String, filler_bytes: usize) -> Response<Body> {
    let chunk = Bytes::from(vec![b'x'; HUGE_BODY_CHUNK_BYTES]);
    let filler = (0..filler_bytes.div_ceil(HUGE_BODY_CHUNK_BYTES)).map(move |_| chunk.clone());
    let chunks = std::iter::once(Bytes::from(head))
        .chain(filler)
        .chain([Bytes::from_static(b"\"}")])
        .map(|chunk| Ok(Frame::data(chunk)));
    json_response(StreamBody::new(stream::iter(chunks)).boxed_unsync())
}

pub(super) fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A bare status as aiohttp answers it: `401: Unauthorized`.
pub(super) fn status(code: StatusCode) -> Response<Body> {
    let reason = code.canonical_reason().unwrap_or_default();
    let text = format!("{}: {reason}", code.as_u16());
    with_type(code, "text/plain; charset=utf-8", text)
}

pub(super) fn redirect() -> Response<Body> {
    let mut response = with_type(StatusCode::FOUND, "text/html", String::new());
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(LOGIN_PATH));
    response
}

pub(super) fn login_page() -> Response<Body> {
    with_type(
        StatusCode::OK,
        "text/html; charset=utf-8",
        LOGIN_PAGE.to_owned(),
    )
}

fn message(code: StatusCode, message: &str) -> Response<Body> {
    let mut response = json_body(&json!({"message": message}));
    *response.status_mut() = code;
    response
}

fn json_body(value: &Value) -> Response<Body> {
    json_text(value.to_string())
}

fn json_text(text: String) -> Response<Body> {
    with_type(StatusCode::OK, "application/json", text)
}

fn json_response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn with_type(code: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let body = Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
