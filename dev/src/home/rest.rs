//! The REST routes.

use std::io;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    configuration::configuration,
    connection::Connection,
    response::{Body, json_body, json_text, message, status},
    service::{self, Service},
    shared::Shared,
};
use crate::lock::locked;

/// Responds to a request for one of the routes.
///
/// # Errors
/// If the body cannot be read.
pub(super) async fn respond(
    connection: &Connection,
    path: &str,
    request: Request<Incoming>,
    is_authenticated: bool,
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
    if !is_authenticated {
        connection.login_failed();
        return Ok(status(StatusCode::UNAUTHORIZED));
    }
    Ok(match action {
        Action::Status => json_body(&json!({"message": "API running."})),
        Action::Config => json_body(&configuration(&shared.options.ha_version)),
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

/// The action of a route.
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

fn services() -> Value {
    let Value::Object(domains) = service::services_json() else {
        return Value::Null;
    };
    domains
        .into_iter()
        .map(|(domain, services)| json!({"domain": domain, "services": services}))
        .collect()
}
