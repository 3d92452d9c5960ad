//! The upgrade of a request to a WebSocket.

use std::io;

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    connection::Connection,
    fault::{Break, Refusal, SocketFault, SocketStage},
    response::{Body, login_page, redirect, status, status_code},
};
use crate::lock::locked;

/// The path of the WebSocket API.
pub(super) const PATH: &str = "/api/websocket";

/// Responds to an upgrade request. The WebSocket starts after the response.
///
/// # Errors
/// If the connection must be closed without a response.
pub(super) async fn respond(
    connection: &Connection,
    mut request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let shared = &connection.shared;
    shared
        .tally
        .count(|counters| counters.upgrade_requests += 1);
    let mut wrong_accept = false;
    match shared.socket_fault(|fault| match fault {
        SocketFault::Refuse(refusal) => Some(*refusal),
        _ => None,
    }) {
        Some(Refusal::Status(code)) => return Ok(status(status_code(code))),
        Some(Refusal::Redirect) => return Ok(redirect()),
        Some(Refusal::Html) => return Ok(login_page()),
        Some(Refusal::WrongAccept) => wrong_accept = true,
        None => {}
    }
    if let Some(way) = shared.break_at(SocketStage::Upgrade) {
        match way {
            Break::Hang => std::future::pending::<()>().await,
            Break::Close | Break::CloseFrame(_) => connection.wire.close().await,
            Break::Reset => connection.wire.reset(),
            Break::HalfOpen => connection.wire.freeze().await,
        }
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    if connection.is_banned() {
        return Ok(status(StatusCode::FORBIDDEN));
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return Ok(status(StatusCode::BAD_REQUEST));
    };
    let key = if wrong_accept {
        b"not the key"
    } else {
        key.as_bytes()
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key)).map_err(io::Error::other)?;
    *locked(&connection.upgrade) = Some(hyper::upgrade::on(&mut request));

    let empty = Empty::new().map_err(|never| match never {});
    let mut response = Response::new(empty.boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}
