//! Sends and receives messages, intact or as a fault demands.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::{body::Bytes, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{
    fault::{Break, Junk, SocketFault, SocketStage},
    shared::Shared,
    wire::Wire,
};

/// The largest message that aiohttp, and so Home Assistant, accepts.
const MAX_INCOMING_BYTES: usize = 4 << 20;

/// The levels of nesting in [`Junk::DeepJson`].
const DEEP_LEVELS: usize = 100_000;

/// The time limit for the peer's close frame, as in aiohttp.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The code that stands for a close frame without a code.
const NO_CODE: u16 = 1005;

/// The WebSocket has ended.
#[derive(Debug)]
pub(super) struct Ended;

impl From<Error> for Ended {
    fn from(_: Error) -> Self {
        Self
    }
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// The client of a WebSocket.
pub(super) struct Peer<'a> {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    wire: &'a Wire,
    shared: &'a Shared,
}

impl<'a> Peer<'a> {
    pub(super) async fn new(upgraded: Upgraded, wire: &'a Wire, shared: &'a Shared) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_INCOMING_BYTES))
            .max_frame_size(Some(MAX_INCOMING_BYTES));
        let io = TokioIo::new(upgraded);
        let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Self {
            stream,
            wire,
            shared,
        }
    }

    /// Returns the next message. Counts pings, pongs and close frames. A close frame ends the WebSocket.
    pub(super) async fn receive(&mut self) -> Result<Message, Ended> {
        let message = self.stream.next().await.ok_or(Ended)??;
        count(self.shared, &message);
        match message {
            Message::Ping(_) => {
                // Sends the pong now; otherwise it would wait for the next message.
                self.stream.flush().await?;
                Ok(message)
            }
            // Reading completes the closing handshake.
            Message::Close(_) => loop {
                self.stream.next().await.ok_or(Ended)??;
            },
            _ => Ok(message),
        }
    }

    /// Sends a text message, or fragments of it if a fault is armed.
    pub(super) async fn send(&mut self, text: String) -> Result<(), Ended> {
        let fault = self.shared.socket_fault(|fault| match fault {
            SocketFault::Pings | SocketFault::Fragment(_) | SocketFault::FragmentWithPings(_) => {
                Some(fault.clone())
            }
            _ => None,
        });
        match fault {
            Some(SocketFault::Fragment(bytes)) => self.fragments(text, bytes, false).await,
            Some(SocketFault::FragmentWithPings(bytes)) => self.fragments(text, bytes, true).await,
            Some(_) => {
                self.ping().await?;
                Ok(self.stream.send(Message::text(text)).await?)
            }
            None => Ok(self.stream.send(Message::text(text)).await?),
        }
    }

    /// Sends the reply to a command. More faults affect replies than other messages.
    pub(super) async fn send_reply(&mut self, text: String) -> Result<(), Ended> {
        let fault = self.shared.socket_fault(|fault| match fault {
            SocketFault::SlowReply(_) | SocketFault::Noise | SocketFault::DuplicateReply => {
                Some(fault.clone())
            }
            _ => None,
        });
        match fault {
            Some(SocketFault::SlowReply(each)) => {
                for byte in text_frame(text.as_bytes()) {
                    self.wire.write_all(&[byte]).await?;
                    tokio::time::sleep(each).await;
                }
                Ok(())
            }
            Some(SocketFault::Noise) => {
                self.noise().await?;
                self.send(text).await?;
                self.noise().await
            }
            Some(_) => {
                self.send(text.clone()).await?;
                self.send(text).await
            }
            None => self.send(text).await,
        }
    }

    pub(super) async fn ping(&mut self) -> Result<(), Ended> {
        Ok(self.stream.send(Message::Ping(Bytes::new())).await?)
    }

    async fn fragments(&mut self, text: String, bytes: usize, pings: bool) -> Result<(), Ended> {
        let text = Bytes::from(text);
        let bytes = bytes.max(1);
        for start in (0..text.len()).step_by(bytes) {
            if pings {
                self.ping().await?;
            }
            let end = text.len().min(start + bytes);
            let opcode = if start == 0 {
                Data::Text
            } else {
                Data::Continue
            };
            let frame = Frame::message(
                text.slice(start..end),
                OpCode::Data(opcode),
                end == text.len(),
            );
            self.stream.send(Message::Frame(frame)).await?;
        }
        Ok(())
    }

    async fn noise(&mut self) -> Result<(), Ended> {
        let event = json!({
            "id": 1_000_000,
            "type": "event",
            "event": {"event_type": "unasked", "data": {}, "origin": "LOCAL"},
        });
        let result = json!({
            "id": 1_000_001,
            "type": "result",
            "success": false,
            "error": {"code": "not_found", "message": "Noise."},
        });
        self.send(event.to_string()).await?;
        self.send(result.to_string()).await
    }

    /// Sends junk if a fault is armed for this stage. Returns true if junk was sent.
    pub(super) async fn junk_at(&mut self, here: SocketStage) -> Result<bool, Ended> {
        let junk = self.shared.socket_fault(|fault| match fault {
            SocketFault::Junk(stage, junk) if *stage == here => Some(*junk),
            _ => None,
        });
        match junk {
            Some(junk) => self.junk(junk).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn junk(&mut self, junk: Junk) -> Result<(), Ended> {
        let text = match junk {
            Junk::Text => "<html>502 Bad Gateway</html>".to_owned(),
            Junk::TruncatedJson => r#"{"id":1,"type":"result","success":tr"#.to_owned(),
            Junk::OtherObject => r#"{"hello":"world"}"#.to_owned(),
            Junk::Number => "42".to_owned(),
            Junk::EmptyArray => "[]".to_owned(),
            Junk::DeepJson => "[".repeat(DEEP_LEVELS) + &"]".repeat(DEEP_LEVELS),
            Junk::Empty => String::new(),
            Junk::Binary => {
                let bytes = Bytes::from_static(b"\x01\x02\x03");
                return Ok(self.stream.send(Message::Binary(bytes)).await?);
            }
            Junk::NotUtf8 => return Ok(self.wire.write_all(&[0x81, 2, 0xc3, 0x28]).await?),
            Junk::ReservedOpcode => return Ok(self.wire.write_all(&[0x83, 1, b'x']).await?),
        };
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// Sends a close frame and waits for the peer's close frame.
    pub(super) async fn close(&mut self, code: u16) -> Ended {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: "".into(),
        };
        let handshake = async {
            self.stream.close(Some(frame)).await?;
            while let Some(message) = self.stream.next().await {
                count(self.shared, &message?);
            }
            Ok::<(), Error>(())
        };
        // The WebSocket ends with or without the peer's close frame.
        let _ = timeout(CLOSE_TIMEOUT, handshake).await;
        Ended
    }

    /// Breaks the WebSocket in this way. Returns when it has ended.
    pub(super) async fn break_off(&mut self, way: Break) -> Ended {
        match way {
            Break::Hang => while self.receive().await.is_ok() {},
            Break::Close => self.wire.close().await,
            Break::CloseFrame(code) => return self.close(code).await,
            Break::Reset => self.wire.reset(),
            Break::HalfOpen => self.wire.freeze().await,
        }
        Ended
    }
}

fn count(shared: &Shared, message: &Message) {
    shared.tally.count(|counters| match message {
        Message::Ping(_) => counters.ping_frames += 1,
        Message::Pong(_) => counters.pong_frames += 1,
        Message::Close(frame) => {
            let code = frame.as_ref().map_or(NO_CODE, |frame| frame.code.into());
            *counters.close_frames.entry(code).or_default() += 1;
        }
        _ => {}
    });
}

/// Returns an unmasked text frame with its header.
fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 10);
    let frame = Frame::message(text.to_vec(), OpCode::Data(Data::Text), true);
    // Writing to a vector cannot fail.
    let _ = frame.format(&mut bytes);
    bytes
}
