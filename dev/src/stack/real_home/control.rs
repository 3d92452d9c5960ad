//! The control connection: a WebSocket to a real Home Assistant that stays open.
//!
//! The connection authenticates only once. A successful login resets Home Assistant's count of failed
//! logins from the same address, so repeated logins would hide failed logins of the function.

use std::collections::HashMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::stack::error::{Error, Result};

type Socket = WebSocketStream<TcpStream>;
type Reply = oneshot::Sender<Result<Value>>;

/// An open connection. It closes when all its clones are dropped.
#[derive(Clone, Debug)]
pub(super) struct Control {
    requests: mpsc::Sender<(Value, Reply)>,
}

impl Control {
    /// Connects to the home at `authority` (`host:port`) and authenticates.
    pub(super) async fn connect(authority: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority)
            .await
            .map_err(|error| Error::HomeAssistant(error.to_string()))?;
        let url = format!("ws://{authority}/api/websocket");
        let limits = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let (mut socket, _) =
            tokio_tungstenite::client_async_with_config(url, stream, Some(limits))
                .await
                .map_err(failed)?;
        next_json(&mut socket).await?;
        send(
            &mut socket,
            &json!({ "type": "auth", "access_token": token }),
        )
        .await?;
        let greeting = next_json(&mut socket).await?;
        if greeting["type"] != "auth_ok" {
            return Err(Error::HomeAssistant("the token was rejected".to_owned()));
        }
        let (requests, inbox) = mpsc::channel(8);
        tokio::spawn(serve(socket, inbox));
        Ok(Self { requests })
    }

    /// Sends a command without an id, and returns its result.
    pub(super) async fn call(&self, command: Value) -> Result<Value> {
        let closed = || Error::HomeAssistant("the control connection is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.requests
            .send((command, reply))
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// Sends commands and receives results. Reading also responds to pings.
async fn serve(mut socket: Socket, mut inbox: mpsc::Receiver<(Value, Reply)>) {
    let mut waiting: HashMap<u64, Reply> = HashMap::new();
    let mut id = 0;
    loop {
        tokio::select! {
            request = inbox.recv() => {
                let Some((mut command, reply)) = request else { break };
                id += 1;
                command["id"] = json!(id);
                waiting.insert(id, reply);
                if send(&mut socket, &command).await.is_err() {
                    return;
                }
            }
            message = next_json(&mut socket) => {
                let Ok(message) = message else { return };
                let reply = message["id"].as_u64().and_then(|id| waiting.remove(&id));
                if let Some(reply) = reply {
                    // An error means that the caller no longer waits.
                    let _ = reply.send(result(message));
                }
            }
        }
    }
    // All clones are dropped, so an error has no receiver.
    let _ = socket.close(None).await;
}

fn result(mut message: Value) -> Result<Value> {
    if message["success"] == true {
        Ok(message["result"].take())
    } else {
        Err(Error::HomeAssistant(message["error"].to_string()))
    }
}

async fn send(socket: &mut Socket, message: &Value) -> Result<()> {
    socket
        .send(Message::text(message.to_string()))
        .await
        .map_err(failed)
}

async fn next_json(socket: &mut Socket) -> Result<Value> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text)
                    .map_err(|error| Error::HomeAssistant(error.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(failed(error)),
            None => {
                return Err(Error::HomeAssistant(
                    "the control connection was closed".to_owned(),
                ));
            }
        }
    }
}

fn failed(error: tungstenite::Error) -> Error {
    Error::HomeAssistant(error.to_string())
}
