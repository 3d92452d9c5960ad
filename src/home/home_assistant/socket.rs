//! Opens a home's WebSocket and waits for its greeting. Opening needs no token, so it can run while the token is
//! validated.

use futures_util::StreamExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::answerer::{Answerer, Expected, answerer};
use super::error::{HomeError, Stage};
use super::message::{self, Incoming};
use super::socket_watch::SocketWatch;
use super::target::Target;
use super::transport::{Stream, Transport, from_io};
use crate::base::clock::{Limit, Timestamp};

/// A WebSocket on which the home has sent its greeting and waits for `auth`.
pub(super) struct Greeted {
    pub(super) socket: WebSocketStream<Stream>,
    pub(super) watch: SocketWatch,
    /// The time of the greeting. The home closes a socket that has not authenticated 10 s later.
    pub(super) at: Timestamp,
}

/// Connects, upgrades and waits for `auth_required`, all within `limit`.
pub(super) async fn open(
    target: &Target,
    transport: &Transport,
    limit: Limit,
    now: impl Fn() -> Timestamp,
) -> Result<Greeted, HomeError> {
    let mut stage = Stage::Dns;
    let outcome =
        tokio::time::timeout(limit.duration, greeted(target, transport, &mut stage)).await;
    match outcome {
        Ok(opened) => opened.map(|(socket, watch)| Greeted {
            socket,
            watch,
            at: now(),
        }),
        Err(_) => Err(HomeError::out_of_time(stage, limit)),
    }
}

async fn greeted(
    target: &Target,
    transport: &Transport,
    stage: &mut Stage,
) -> Result<(WebSocketStream<Stream>, SocketWatch), HomeError> {
    let stream = transport.connect(&target.address, stage).await?;
    let watch = SocketWatch::of(&stream).map_err(|error| from_io(&error, Stage::Tcp))?;
    *stage = Stage::Upgrade;
    let mut request = target
        .address
        .socket()
        .as_str()
        .into_client_request()
        .map_err(|error| failed(error, target))?;
    request.headers_mut().extend(transport.headers().clone());
    let limits = WebSocketConfig::default()
        .max_message_size(Some(target.limits.max_message_bytes))
        .max_frame_size(Some(target.limits.max_message_bytes));
    let (mut socket, _) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(limits))
            .await
            .map_err(|error| failed(error, target))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return match message::parse(&text).as_deref() {
                    Ok([Incoming::AuthRequired]) => Ok((socket, watch)),
                    _ => Err(HomeError::NotHomeAssistant {
                        seen: "no auth_required on the WebSocket",
                    }),
                };
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                return Err(HomeError::NotHomeAssistant {
                    seen: "a binary message on the WebSocket",
                });
            }
            Some(Ok(Message::Close(_))) | None => {
                return Err(HomeError::Unreachable {
                    stage: Stage::Upgrade,
                    reason: "closed before the greeting".into(),
                    refused: false,
                });
            }
            Some(Err(error)) => return Err(failed(error, target)),
        }
    }
}

/// Reseeds the random number generator of the WebSocket library, which masks frames, so that each process has its own
/// masks.
pub fn reseed_masks() {
    // Reseeding fails only if the system has no random numbers, and masks are not secret.
    let _ = rand::rng().reseed();
}

/// Converts a WebSocket error before authentication.
fn failed(error: SocketError, target: &Target) -> HomeError {
    match error {
        SocketError::Http(response) => {
            let (status, headers) = (response.status(), response.headers());
            match answerer(status, headers, Expected::Upgrade, target) {
                Answerer::Home => HomeError::NotHomeAssistant {
                    seen: "no WebSocket at /api/websocket",
                },
                Answerer::Other(foreign) => foreign.error,
            }
        }
        SocketError::Io(error) => from_io(&error, Stage::Upgrade),
        SocketError::Capacity(_) => HomeError::MessageTooLarge {
            limit_bytes: target.limits.max_message_bytes,
        },
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => HomeError::Unreachable {
            stage: Stage::Upgrade,
            reason: "closed before the greeting".into(),
            refused: false,
        },
        SocketError::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::HandshakeIncomplete
            | tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => HomeError::Unreachable {
            stage: Stage::Upgrade,
            reason: "closed during the upgrade".into(),
            refused: false,
        },
        SocketError::Url(_)
        | SocketError::Tls(_)
        | SocketError::Protocol(_)
        | SocketError::WriteBufferFull(_)
        | SocketError::Utf8(_)
        | SocketError::AttackAttempt
        | SocketError::HttpFormat(_) => HomeError::NotHomeAssistant {
            seen: "no WebSocket at /api/websocket",
        },
    }
}
