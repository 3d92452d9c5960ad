//! The handshake of a client: `$connect`, then the WebSocket upgrade.

use std::{net::IpAddr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
        USER_AGENT,
    },
    request::Parts,
};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    connection::Connection,
    event,
    invocation::{Answer, Failure, invoke},
    response::{Body, message, status},
    shared::Shared,
    socket,
};

/// Responds to a handshake. The WebSocket starts after the response.
pub(super) async fn respond(
    shared: &Arc<Shared>,
    peer: IpAddr,
    mut request: Request<Incoming>,
) -> Response<Body> {
    if !is_api(shared, request.uri().path()) {
        return message(StatusCode::FORBIDDEN, "Forbidden");
    }
    let Some(accept) = accept_key(request.headers()) else {
        return message(StatusCode::UPGRADE_REQUIRED, "Upgrade Required");
    };
    if !shared.may_connect() {
        return message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    let source_ip = source_ip(&request.headers).unwrap_or(peer);
    let user_agent = text(&request.headers, USER_AGENT.as_str());
    let (connection, orders) = Connection::new(source_ip, user_agent, &shared.clock);
    let connection = Arc::new(connection);
    let (sender, response) = oneshot::channel();
    let opening = Arc::clone(shared);
    // A task of its own, because the function is invoked even if the client leaves.
    shared.tasks.spawn(async move {
        let response = connect(&opening, &connection, &request, accept).await;
        let is_accepted = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_accepted {
            opening.add(&connection);
        }
        // An error means that the client has left. Then the upgrade fails.
        let _ = sender.send(response);
        if is_accepted {
            socket::run(opening, connection, upgrade, orders).await;
        }
    });
    // An error means that the gateway ends.
    let response = response.await;
    response.unwrap_or_else(|_| status(StatusCode::SERVICE_UNAVAILABLE))
}

/// Invokes the function with `$connect`. Returns the response to the handshake.
async fn connect(
    shared: &Shared,
    connection: &Connection,
    request: &Parts,
    accept: HeaderValue,
) -> Response<Body> {
    let event = event::connect(shared, connection, request);
    shared.count(|counters| counters.connects += 1);
    let answer = match invoke(shared, event.value).await {
        Ok(answer) => answer,
        Err(failure) => return refusal(failure),
    };
    match StatusCode::from_u16(answer.status) {
        Ok(code) if code.is_success() => switch(accept, &answer),
        Ok(code) if !code.is_informational() => status(code),
        _ => refusal(Failure::Failed),
    }
}

/// Returns the response to a handshake whose invocation failed.
fn refusal(failure: Failure) -> Response<Body> {
    let code = match failure {
        Failure::Failed => StatusCode::BAD_GATEWAY,
        Failure::TimedOut => StatusCode::GATEWAY_TIMEOUT,
    };
    message(code, failure.message())
}

/// Returns the response that accepts a client.
fn switch(accept: HeaderValue, answer: &Answer) -> Response<Body> {
    let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    let subprotocol = answer.header(SEC_WEBSOCKET_PROTOCOL.as_str());
    if let Some(Ok(subprotocol)) = subprotocol.map(HeaderValue::from_str) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response
}

/// Returns true if clients may connect with this path.
fn is_api(shared: &Shared, path: &str) -> bool {
    shared.options.accepts_any_path || path.strip_prefix('/') == Some(&shared.options.stage)
}

/// Returns the accept key of a WebSocket upgrade, or `None` if the request is not an upgrade.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?.as_bytes();
    if !protocol.eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

fn source_ip(headers: &HeaderMap) -> Option<IpAddr> {
    text(headers, event::SOURCE_IP)?.parse().ok()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
