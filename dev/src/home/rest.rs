//! The REST routes.

use std::io;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
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
        ["api", "alexa", "smart_home"] if shared.options.has_alexa => {
            (Method::POST, Action::Directive)
        }
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
        Action::Call(domain, name) => call(shared, domain, name, &whole(request).await?),
        Action::Directive => directive(shared, &whole(request).await?),
    })
}

async fn whole(request: Request<Incoming>) -> io::Result<Bytes> {
    let body = request.into_body().collect().await;
    Ok(body.map_err(io::Error::other)?.to_bytes())
}

/// The action of a route.
enum Action<'a> {
    Status,
    Config,
    States,
    State(&'a str),
    Services,
    Call(&'a str, &'a str),
    Directive,
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

/// Runs an Alexa directive. This home knows the directives of `Alexa.PowerController`. As in Home Assistant, the ID of
/// an endpoint is the ID of its entity with `#` in place of the dot.
fn directive(shared: &Shared, body: &[u8]) -> Response<Body> {
    let Ok(mut asked) = serde_json::from_slice::<Value>(body) else {
        return message(StatusCode::BAD_REQUEST, "Data should be valid JSON.");
    };
    let directive = asked["directive"].take();
    let (header, endpoint) = (&directive["header"], &directive["endpoint"]["endpointId"]);
    let entity_id = endpoint.as_str().unwrap_or_default().replace('#', ".");
    let domain = entity_id.split('.').next().unwrap_or_default();
    let name = match (header["namespace"].as_str(), header["name"].as_str()) {
        (Some("Alexa.PowerController"), Some("TurnOn")) => "turn_on",
        (Some("Alexa.PowerController"), Some("TurnOff")) => "turn_off",
        _ => return status(StatusCode::BAD_REQUEST),
    };
    let data = json!({ "entity_id": entity_id });
    let Some(service) = Service::find(domain, name) else {
        return status(StatusCode::BAD_REQUEST);
    };
    if shared.execute(service, Some(&data), None).is_err() {
        return status(StatusCode::BAD_REQUEST);
    }
    json_body(&json!({
        "event": {
            "header": {
                "namespace": "Alexa",
                "name": "Response",
                "messageId": header["messageId"],
                "correlationToken": header["correlationToken"],
                "payloadVersion": "3",
            },
            "endpoint": {"endpointId": endpoint},
            "payload": {},
        },
        "context": {"properties": []},
    }))
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
