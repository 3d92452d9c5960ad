//! The events of a WebSocket API.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    header::{CONNECTION, UPGRADE},
    request::Parts,
};
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{connection::Connection, ending::Ending, shared::Shared, spelling};

/// A header of a test's client. Its value is the source IP that the function sees.
pub(super) const SOURCE_IP: &str = "x-test-source-ip";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// An event and the id of its request.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) value: Value,
}

/// Returns the event of a client that connects.
pub(super) fn connect(shared: &Shared, connection: &Connection, request: &Parts) -> Event {
    let mut event = Event::new(shared, connection, "$connect", "CONNECT");
    let headers = headers(connection, request);
    event.value["headers"] = headers.last();
    event.value["multiValueHeaders"] = headers.all();
    let query = query(request.uri.query().unwrap_or_default());
    if !query.0.is_empty() {
        event.value["queryStringParameters"] = query.last();
        event.value["multiValueQueryStringParameters"] = query.all();
    }
    event
}

/// The content of a message.
#[derive(Debug)]
pub(super) enum Content {
    Text(String),
    Binary(Bytes),
}

/// Returns the event of a message.
pub(super) fn message(shared: &Shared, connection: &Connection, content: Content) -> Event {
    let mut event = Event::new(shared, connection, "$default", "MESSAGE");
    event.value["requestContext"]["messageId"] = json!(spelling::id());
    let (body, is_binary) = match content {
        Content::Text(text) => (text, false),
        Content::Binary(bytes) => (STANDARD.encode(bytes), true),
    };
    event.value["body"] = Value::String(body);
    event.value["isBase64Encoded"] = Value::Bool(is_binary);
    event
}

/// Returns the event of a connection that has ended.
pub(super) fn disconnect(shared: &Shared, connection: &Connection, ending: &Ending) -> Event {
    let mut event = Event::new(shared, connection, "$disconnect", "DISCONNECT");
    let context = &mut event.value["requestContext"];
    context["disconnectStatusCode"] = json!(ending.code);
    context["disconnectReason"] = json!(ending.reason);
    let mut headers = Fields::default();
    headers.add("Host".to_owned(), shared.address.to_string());
    for name in ["X-Forwarded-For", "x-api-key", "x-restapi"] {
        headers.add(name.to_owned(), String::new());
    }
    event.value["headers"] = headers.last();
    event.value["multiValueHeaders"] = headers.all();
    event
}

impl Event {
    /// Creates an event with the members that all events have.
    fn new(shared: &Shared, connection: &Connection, route_key: &str, event_type: &str) -> Self {
        let request_id = spelling::id();
        let now = OffsetDateTime::now_utc();
        let mut identity = json!({"sourceIp": connection.source_ip.to_string()});
        if let Some(user_agent) = &connection.user_agent {
            identity["userAgent"] = json!(user_agent);
        }
        let value = json!({
            "requestContext": {
                "routeKey": route_key,
                "eventType": event_type,
                "extendedRequestId": request_id,
                "requestTime": spelling::log_time(now),
                "messageDirection": "IN",
                "stage": shared.options.stage,
                "connectedAt": spelling::epoch(connection.connected_at),
                "requestTimeEpoch": spelling::epoch(now),
                "identity": identity,
                "requestId": request_id,
                "domainName": shared.address.to_string(),
                "connectionId": connection.id,
                "apiId": shared.options.api_id,
            },
            "isBase64Encoded": false,
        });
        Self { request_id, value }
    }
}

/// Names with their values, in order.
#[derive(Debug, Default)]
struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    fn add(&mut self, name: String, value: String) {
        self.0.entry(name).or_default().push(value);
    }

    /// Returns the last value of each name.
    fn last(&self) -> Value {
        let last = |(name, values): (&String, &Vec<String>)| (name.clone(), json!(values.last()));
        Value::Object(self.0.iter().map(last).collect())
    }

    /// Returns all values of each name.
    fn all(&self) -> Value {
        json!(self.0)
    }
}

/// Returns the headers of a handshake as API Gateway passes them on.
fn headers(connection: &Connection, request: &Parts) -> Fields {
    let mut fields = Fields::default();
    let mut forwarded_for = Vec::new();
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match name.as_str() {
            FORWARDED_FOR => forwarded_for.push(value),
            SOURCE_IP => {}
            _ if name == CONNECTION || name == UPGRADE => {}
            name => fields.add(spelling::header_name(name), value),
        }
    }
    forwarded_for.push(connection.source_ip.to_string());
    let seconds = connection.connected_at.unix_timestamp();
    let trace = fastrand::u128(..) >> 32;
    for (name, value) in [
        (
            "X-Amzn-Trace-Id",
            format!("Root=1-{seconds:08x}-{trace:024x}"),
        ),
        ("X-Forwarded-For", forwarded_for.join(", ")),
        ("X-Forwarded-Port", "443".to_owned()),
        ("X-Forwarded-Proto", "https".to_owned()),
    ] {
        fields.0.insert(name.to_owned(), vec![value]);
    }
    fields
}

/// Returns the decoded parameters of a query.
fn query(query: &str) -> Fields {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let mut fields = Fields::default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        fields.add(decoded(name), decoded(value));
    }
    fields
}
