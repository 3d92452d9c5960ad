//! The management API, with which the function reaches connections: `@connections`.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{
    connection::{Connection, Order},
    response::{Body, error, json_body, message, status},
    shared::Shared,
    socket::MAX_MESSAGE_BYTES,
    spelling,
};

/// The algorithm of AWS Signature Version 4. The signature itself is not checked.
const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";

/// Responds to a request for the connection `id`.
pub(super) async fn respond(
    shared: &Shared,
    id: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    let is_signed = request
        .headers()
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(ALGORITHM));
    if !is_signed {
        return error(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
    }
    match *request.method() {
        Method::POST => post(shared, id, request).await,
        Method::DELETE => {
            shared.count(|counters| counters.deletes += 1);
            match shared.remove(id) {
                Some(connection) => {
                    connection.order(Order::Close);
                    status(StatusCode::NO_CONTENT)
                }
                None => gone(),
            }
        }
        Method::GET => shared.find(id).map_or_else(gone, describe),
        _ => message(StatusCode::FORBIDDEN, "Forbidden"),
    }
}

/// Posts a frame to a connection.
async fn post(shared: &Shared, id: &str, request: Request<Incoming>) -> Response<Body> {
    shared.count(|counters| counters.posts += 1);
    if !shared.may_post() {
        shared.count(|counters| counters.throttled += 1);
        return error(
            StatusCode::TOO_MANY_REQUESTS,
            "LimitExceededException",
            "Rate exceeded",
        );
    }
    let body = Limited::new(request.into_body(), MAX_MESSAGE_BYTES);
    let Ok(body) = body.collect().await else {
        return error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PayloadTooLargeException",
            "Payload exceeds 131072 bytes",
        );
    };
    if !shared.options.post_delay.is_zero() {
        tokio::time::sleep(shared.options.post_delay).await;
    }
    let Some(connection) = shared.find(id) else {
        return gone();
    };
    let frame = match String::from_utf8(body.to_bytes().into()) {
        Ok(text) => Message::text(text),
        Err(bytes) => Message::binary(bytes.into_bytes()),
    };
    connection.order(Order::Send(frame));
    shared.count(|counters| counters.delivered_posts += 1);
    status(StatusCode::OK)
}

/// Describes a connection.
fn describe(connection: Arc<Connection>) -> Response<Body> {
    json_body(
        StatusCode::OK,
        &json!({
            "connectedAt": spelling::rfc_3339(connection.connected_at),
            "identity": {
                "sourceIp": connection.source_ip.to_string(),
                "userAgent": connection.user_agent,
            },
            "lastActiveAt": spelling::rfc_3339(connection.last_active_at()),
        }),
    )
}

fn gone() -> Response<Body> {
    error(
        StatusCode::GONE,
        "GoneException",
        "The connection does not exist, or has ended",
    )
}
