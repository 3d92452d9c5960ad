//! A small Home Assistant client that notices every fault.

use futures_util::{SinkExt, StreamExt};
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

pub(crate) type Socket = WebSocketStream<TcpStream>;

pub(crate) async fn start() -> SimulatedHome {
    SimulatedHome::start(HomeOptions::default()).await.unwrap()
}

/// Connects and upgrades to a WebSocket.
pub(crate) async fn connect(home: &SimulatedHome) -> Result<Socket, Error> {
    let tcp = TcpStream::connect(home.address()).await?;
    let (socket, _) = client_async(home.websocket_url(), tcp).await?;
    Ok(socket)
}

/// Returns the next message that is not a ping or a pong.
pub(crate) async fn next(socket: &mut Socket) -> Result<Message, Error> {
    loop {
        match socket
            .next()
            .await
            .unwrap_or(Err(Error::ConnectionClosed))?
        {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return Ok(message),
        }
    }
}

/// Returns the next message, which must be JSON.
pub(crate) async fn receive(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.unwrap().to_text().unwrap()).unwrap()
}

pub(crate) async fn send(socket: &mut Socket, message: Value) {
    socket
        .send(Message::text(message.to_string()))
        .await
        .unwrap();
}

pub(crate) fn auth(token: &str) -> Value {
    json!({"type": "auth", "access_token": token})
}

/// Returns an authenticated WebSocket.
pub(crate) async fn log_in(home: &SimulatedHome, token: &str) -> Socket {
    let mut socket = connect(home).await.unwrap();
    assert_eq!(receive(&mut socket).await["type"], "auth_required");
    send(&mut socket, auth(token)).await;
    let auth_ok = receive(&mut socket).await;
    assert_eq!(
        auth_ok,
        json!({"type": "auth_ok", "ha_version": "2025.4.4"})
    );
    socket
}

pub(crate) async fn ask(socket: &mut Socket, command: Value) -> Value {
    send(socket, command).await;
    receive(socket).await
}

pub(crate) fn turn_on(id: u64, entity_id: &str) -> Value {
    json!({
        "id": id,
        "type": "call_service",
        "domain": "light",
        "service": "turn_on",
        "target": {"entity_id": entity_id},
    })
}

/// Returns the code of the close frame, which must be the next message.
pub(crate) async fn close_code(socket: &mut Socket) -> u16 {
    match next(socket).await.unwrap() {
        Message::Close(Some(frame)) => frame.code.into(),
        other => panic!("expected a close frame, got {other:?}"),
    }
}

/// Returns a REST client that does not follow redirects.
pub(crate) fn http() -> reqwest::Client {
    // An error means that another test has installed a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}
