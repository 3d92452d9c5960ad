//! The floor: a raw WebSocket.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::command::turn_on;
use crate::error::Error;
use crate::surroundings::{DistantHome, Stream};

/// An authenticated WebSocket.
#[derive(Debug)]
pub(super) struct Wire {
    socket: WebSocketStream<Stream>,
    last_id: u64,
}

impl Wire {
    /// Opens a WebSocket and authenticates.
    pub(super) async fn open(home: &DistantHome) -> Result<Self, Error> {
        let mut wire = Self::upgrade(home).await?;
        wire.send(&auth(home)).await?;
        while wire.receive().await?["type"] != "auth_ok" {}
        Ok(wire)
    }

    /// Connects and runs one command, which is sent together with `auth`. Returns the total time.
    pub(super) async fn first_command(home: &DistantHome) -> Result<Duration, Error> {
        let started = Instant::now();
        let mut wire = Self::upgrade(home).await?;
        let mut command = turn_on();
        command["id"] = json!(1);
        wire.feed(&auth(home)).await?;
        wire.send(&command).await?;
        while wire.receive().await?["id"] != 1 {}
        Ok(started.elapsed())
    }

    /// Runs one command. Returns its time.
    pub(super) async fn command(&mut self, command: &Value) -> Result<Duration, Error> {
        let started = Instant::now();
        let id = self.start(command).await?;
        while self.receive().await?["id"] != id {}
        Ok(started.elapsed())
    }

    /// Runs `total` commands, of which `width` are in flight at any time. Returns the time of each command and the
    /// total time.
    pub(super) async fn flood(
        &mut self,
        command: &Value,
        total: usize,
        width: usize,
    ) -> Result<(Vec<Duration>, Duration), Error> {
        let began = Instant::now();
        let mut in_flight = HashMap::new();
        let mut times = Vec::with_capacity(total);
        for _ in 0..width.min(total) {
            let started = Instant::now();
            in_flight.insert(self.start(command).await?, started);
        }
        while times.len() < total {
            let id = self.receive().await?["id"].as_u64();
            let Some(started) = id.and_then(|id| in_flight.remove(&id)) else {
                continue;
            };
            times.push(started.elapsed());
            if times.len() + in_flight.len() < total {
                let started = Instant::now();
                in_flight.insert(self.start(command).await?, started);
            }
        }
        Ok((times, began.elapsed()))
    }

    async fn upgrade(home: &DistantHome) -> Result<Self, Error> {
        let stream = home.connect().await?;
        // The scheme only names the default port: the stream is open already.
        let url = format!("ws://{}/api/websocket", home.near_end());
        let (socket, _) = client_async(url, stream).await?;
        Ok(Self { socket, last_id: 0 })
    }

    async fn start(&mut self, command: &Value) -> Result<u64, Error> {
        self.last_id += 1;
        let mut command = command.clone();
        command["id"] = json!(self.last_id);
        self.send(&command).await?;
        Ok(self.last_id)
    }

    async fn feed(&mut self, message: &Value) -> Result<(), Error> {
        Ok(self.socket.feed(Message::text(message.to_string())).await?)
    }

    async fn send(&mut self, message: &Value) -> Result<(), Error> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    async fn receive(&mut self) -> Result<Value, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).unwrap_or_default());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(tungstenite::Error::ConnectionClosed.into()),
            }
        }
    }
}

fn auth(home: &DistantHome) -> Value {
    json!({"type": "auth", "access_token": home.token()})
}
