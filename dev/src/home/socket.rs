//! A WebSocket: authentication, then commands until one side closes.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use serde_json::{Value, json};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    connection::Connection,
    fault::{SocketFault, SocketStage},
    peer::{Ended, Peer},
    session::Session,
    token::Proven,
};
use crate::lock::locked;

/// Runs a WebSocket until it ends.
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

/// Authenticates the client and serves its commands.
async fn converse(connection: &Connection, peer: &mut Peer<'_>) -> Result<(), Ended> {
    let shared = &connection.shared;
    let token = authenticate(connection, peer).await?;
    // The session subscribes to events before `auth_ok` is sent, so that no later event is lost.
    let session = Session::new(shared, token);
    if !peer.junk_at(SocketStage::Auth).await? {
        let version = &shared.options.ha_version;
        let auth_ok = json!({"type": "auth_ok", "ha_version": version});
        shared.tally.count(|counters| counters.auth_ok += 1);
        peer.send(auth_ok.to_string()).await?;
    }
    locked(&shared.bans).login_succeeded(connection.peer);
    if let Some(way) = shared.break_at(SocketStage::AuthOk) {
        return Err(peer.break_off(way).await);
    }
    command_phase(connection, peer, session).await
}

/// Runs Home Assistant's authentication phase. Returns the client's token.
async fn authenticate(connection: &Connection, peer: &mut Peer<'_>) -> Result<Proven, Ended> {
    let shared = &connection.shared;
    if let Some(way) = shared.break_at(SocketStage::AuthRequired) {
        return Err(peer.break_off(way).await);
    }
    if !peer.junk_at(SocketStage::AuthRequired).await? {
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
    if let Some(way) = shared.break_at(SocketStage::Auth) {
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
            connection.login_failed();
            Err(refuse(connection, peer, "Invalid access token or password").await)
        }
    }
}

/// Returns the first message that is not a ping or a pong.
async fn first_message(peer: &mut Peer<'_>) -> Result<Message, Ended> {
    loop {
        let message = peer.receive().await?;
        if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
            return Ok(message);
        }
    }
}

/// Returns Home Assistant's error for the form of an `auth` message, if the form is wrong.
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

/// Sends `auth_invalid` and closes the WebSocket.
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

/// Serves commands and events until the WebSocket ends.
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
            // The WebSocket no longer counts as open, even if the peer closes late.
            drop(session);
            return Err(peer.close(1000).await);
        }
        let silence = if is_pinged {
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
                    // No integration of this home accepts binary messages.
                    Message::Binary(bytes) if bytes.is_empty() => {
                        return Err(peer.close(1000).await);
                    }
                    _ => {}
                }
            }
            () = sleep_until(heard_at + silence) => {
                if is_pinged {
                    return Err(Ended);
                }
                peer.ping().await?;
                is_pinged = true;
            }
        }
    }
}
