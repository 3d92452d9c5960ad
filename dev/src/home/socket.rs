//! The WebSocket: upgrade, authentication, then commands until either side has had enough.

use std::{io, sync::Arc};

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use serde_json::{Value, json};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key};

use super::{
    Break, Refusal, SocketFault, SocketStage,
    command::Session,
    locked,
    outgoing::{Ended, Peer},
    rest::{self, Body},
    server::Connection,
    token::Proven,
};

pub(super) const PATH: &str = "/api/websocket";

/// Answers an upgrade request. The socket itself starts once the answer is on its way.
pub(super) async fn upgrade(
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
        Some(Refusal::Status(code)) => return Ok(rest::status(rest::status_code(code))),
        Some(Refusal::Redirect) => return Ok(rest::redirect()),
        Some(Refusal::Html) => return Ok(rest::login_page()),
        Some(Refusal::WrongAccept) => wrong_accept = true,
        None => {}
    }
    if let Some(way) = break_at(connection, SocketStage::Upgrade) {
        match way {
            Break::Hang => std::future::pending::<()>().await,
            Break::Close | Break::CloseFrame(_) => connection.wire.close().await,
            Break::Reset => connection.wire.reset(),
            Break::HalfOpen => connection.wire.freeze().await,
        }
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    if rest::is_banned(connection) {
        return Ok(rest::status(StatusCode::FORBIDDEN));
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return Ok(rest::status(StatusCode::BAD_REQUEST));
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

/// Runs a socket to its end.
pub(super) async fn run(connection: Arc<Connection>, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let shared = &connection.shared;
    shared
        .tally
        .count(|counters| counters.websocket_upgrades += 1);
    let mut stopping = shared.stopping.subscribe();
    let mut peer = Peer::new(upgraded, &connection.wire, shared).await;
    let stopped = tokio::select! {
        biased;
        _ = stopping.wait_for(|stopping| *stopping) => true,
        Err(Ended) = converse(&connection, &mut peer) => false,
    };
    if stopped {
        peer.close(1000).await;
    }
}

fn break_at(connection: &Connection, here: SocketStage) -> Option<Break> {
    connection.shared.socket_fault(|fault| match fault {
        SocketFault::At(stage, way) if *stage == here => Some(*way),
        _ => None,
    })
}

async fn converse(connection: &Connection, peer: &mut Peer<'_>) -> Result<(), Ended> {
    let token = authenticate(connection, peer).await?;
    // Subscribed before the client hears `auth_ok`: no change after that is lost.
    let session = Session::new(&connection.shared, token);
    if !session.junk_at(SocketStage::Auth, peer).await? {
        let version = &connection.shared.options.ha_version;
        let auth_ok = json!({"type": "auth_ok", "ha_version": version});
        connection
            .shared
            .tally
            .count(|counters| counters.auth_ok += 1);
        peer.send(auth_ok.to_string()).await?;
    }
    locked(&connection.shared.bans).login_succeeded(connection.peer);
    if let Some(way) = break_at(connection, SocketStage::AuthOk) {
        return Err(peer.break_off(way).await);
    }
    command_phase(connection, peer, session).await
}

/// Home Assistant's authentication phase: the token that the client proved to have.
async fn authenticate(connection: &Connection, peer: &mut Peer<'_>) -> Result<Proven, Ended> {
    let shared = &connection.shared;
    if let Some(way) = break_at(connection, SocketStage::AuthRequired) {
        return Err(peer.break_off(way).await);
    }
    if !Session::junk(shared, SocketStage::AuthRequired, peer).await? {
        let version = &shared.options.ha_version;
        let required = json!({"type": "auth_required", "ha_version": version});
        peer.send(required.to_string()).await?;
    }
    let Ok(first) = timeout(shared.options.auth_timeout, first_message(peer)).await else {
        return Err(peer.close(1000).await);
    };
    let Message::Text(text) = first? else {
        return Err(peer.close(1000).await);
    };
    let Ok(auth) = serde_json::from_str::<Value>(&text) else {
        return Err(peer.close(1000).await);
    };
    let token = auth["access_token"].as_str();
    if let Some(token) = token {
        shared.tally.count(|counters| {
            *counters
                .tokens_presented
                .entry(token.to_owned())
                .or_default() += 1;
        });
    }
    if let Some(way) = break_at(connection, SocketStage::Auth) {
        return Err(peer.break_off(way).await);
    }
    if let Some(fault) = malformed_auth(&auth) {
        let message = format!("Auth message incorrectly formatted: {fault}");
        return Err(refuse(connection, peer, &message).await);
    }
    let refuse_all =
        shared.socket_fault(|fault| (*fault == SocketFault::AuthInvalid).then_some(()));
    let proven = token
        .filter(|_| refuse_all.is_none())
        .and_then(|token| locked(&shared.tokens).validate(token));
    match proven {
        Some(proven) => Ok(proven),
        None => {
            rest::login_failed(connection);
            Err(refuse(connection, peer, "Invalid access token or password").await)
        }
    }
}

/// The first message that is not a ping or pong.
async fn first_message(peer: &mut Peer<'_>) -> Result<Message, Ended> {
    loop {
        let message = peer.receive().await?;
        if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
            return Ok(message);
        }
    }
}

/// What is wrong with an `auth` message in form, in Home Assistant's words.
fn malformed_auth(auth: &Value) -> Option<String> {
    let Some(fields) = auth.as_object() else {
        return Some("expected a dictionary".to_owned());
    };
    for (key, value) in fields {
        let fault = match key.as_str() {
            "type" if value == "auth" => continue,
            "access_token" | "api_password" if value.is_string() => continue,
            "type" => "not a valid value for dictionary value",
            "access_token" | "api_password" => "expected str for dictionary value",
            _ => "extra keys not allowed",
        };
        return Some(format!("{fault} @ data['{key}']"));
    }
    if !fields.contains_key("type") {
        return Some("required key not provided @ data['type']. Got None".to_owned());
    }
    None
}

async fn refuse(connection: &Connection, peer: &mut Peer<'_>, message: &str) -> Ended {
    connection
        .shared
        .tally
        .count(|counters| counters.auth_invalid += 1);
    let invalid = json!({"type": "auth_invalid", "message": message});
    match peer.send(invalid.to_string()).await {
        Ok(()) => peer.close(1000).await,
        Err(ended) => ended,
    }
}

async fn command_phase(
    connection: &Connection,
    peer: &mut Peer<'_>,
    mut session: Session<'_>,
) -> Result<(), Ended> {
    let shared = &connection.shared;
    let mut token_deleted = shared.token_deleted.subscribe();
    let heartbeat = shared.options.heartbeat;
    let mut heard_at = Instant::now();
    let mut is_pinged = false;
    loop {
        if !session.is_authorised() {
            // No longer open, even while the peer takes its time over the goodbye.
            drop(session);
            return Err(peer.close(1000).await);
        }
        let patience = if is_pinged {
            heartbeat * 3 / 2
        } else {
            heartbeat
        };
        tokio::select! {
            biased;
            _ = token_deleted.changed() => {}
            event = session.events.recv() => match event {
                Ok(event) => session.forward(&event, peer).await?,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(Ended),
            },
            message = peer.receive() => {
                heard_at = Instant::now();
                is_pinged = false;
                match message? {
                    Message::Text(text) => match serde_json::from_str(&text) {
                        Ok(frame) => session.handle(frame, peer).await?,
                        Err(_) => return Err(peer.close(1000).await),
                    },
                    // No integration of this home takes binary messages.
                    Message::Binary(bytes) if bytes.is_empty() => {
                        return Err(peer.close(1000).await);
                    }
                    _ => {}
                }
            }
            () = sleep_until(heard_at + patience) => {
                if is_pinged {
                    return Err(Ended);
                }
                peer.ping().await?;
                is_pinged = true;
            }
        }
    }
}
