//! A WebSocket client for tests.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::asyncapi::check_frame;

/// A WebSocket client.
pub struct SocketClient {
    socket: WebSocketStream<TcpStream>,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
}

/// A thing that a client receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A message.
    Message(Value),
    /// The end of the connection, with the close code if there is one.
    Closed(Option<u16>),
}

impl Received {
    /// Returns the message.
    ///
    /// # Panics
    ///
    /// If the connection was closed.
    pub fn message(self) -> Value {
        match self {
            Self::Message(message) => message,
            Self::Closed(code) => panic!("closed with {code:?}"),
        }
    }
}

impl SocketClient {
    /// Connects to a URL like `ws://127.0.0.1:80/prod`, with additional headers. `Err` is the status of a refusal.
    pub async fn connect(url: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let host = request.uri().authority().unwrap().to_string();
        let tcp = TcpStream::connect(host).await.unwrap();
        match client_async(request, tcp).await {
            Ok((socket, response)) => {
                let chosen = response.headers().get("sec-websocket-protocol");
                let subprotocol = chosen.and_then(|value| value.to_str().ok());
                let subprotocol = subprotocol.map(str::to_owned);
                Ok(Self {
                    socket,
                    subprotocol,
                })
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    /// Sends a text.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Returns the next message, or the end of the connection. Each message must be one of the AsyncAPI document.
    pub async fn next(&mut self) -> Received {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text).unwrap();
                    check_frame(&message).unwrap();
                    Received::Message(message)
                }
                Some(Ok(Message::Close(frame))) => {
                    Received::Closed(frame.map(|frame| frame.code.into()))
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Received::Closed(None),
            };
        }
    }

    /// Sends a message and returns the next message.
    pub async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.next().await.message()
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while self.next().await != Received::Closed(None) {}
    }

    /// Ends the connection without a close frame.
    pub fn vanish(self) {
        drop(self);
    }
}
