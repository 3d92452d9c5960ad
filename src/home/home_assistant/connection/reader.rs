//! The reading half of a connection: passes each reply to the caller that waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::state::{Shared, Status};
use crate::base::clock::{Clock, Timestamp};
use crate::home::home_assistant::error::{HomeError, Stage};
use crate::home::home_assistant::message::{self, Incoming};
use crate::home::home_assistant::transport::Stream;

pub(super) struct Reader {
    pub(super) stream: SplitStream<WebSocketStream<Stream>>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) max_message_bytes: usize,
}

impl Reader {
    pub(super) async fn run(&mut self, auth_timeout: Duration) -> HomeError {
        match tokio::time::timeout(auth_timeout, self.read_until_ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(end)) => return end,
            Err(_) => return HomeError::Timeout { stage: Stage::Auth },
        }
        loop {
            if let Err(end) = self.read().await {
                return end;
            }
        }
    }

    async fn read_until_ready(&mut self) -> Result<(), HomeError> {
        while *self.shared.status.borrow() == Status::Authenticating {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads one message. `Err` is the reason why the connection ends.
    async fn read(&mut self) -> Result<(), HomeError> {
        let received = self.stream.next().await;
        let now = self.clock.now();
        self.shared.heard.lock().last = now;
        match received {
            Some(Ok(Message::Text(text))) => {
                let messages = message::parse(&text).map_err(|_| HomeError::NotHomeAssistant {
                    seen: "a malformed message on the WebSocket",
                })?;
                drop(text);
                messages
                    .into_iter()
                    .try_for_each(|message| self.take(message, now))
            }
            // The WebSocket library answers pings.
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Pong(_))) => {
                self.shared.heard.lock().answered = now;
                for pong in std::mem::take(&mut self.shared.waiting.lock().pongs) {
                    let _ = pong.send(());
                }
                Ok(())
            }
            Some(Ok(Message::Binary(_))) => Err(HomeError::NotHomeAssistant {
                seen: "a binary message on the WebSocket",
            }),
            Some(Err(SocketError::Capacity(CapacityError::MessageTooLong { .. }))) => {
                Err(HomeError::MessageTooLarge {
                    limit_bytes: self.max_message_bytes,
                })
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(HomeError::Closed),
        }
    }

    fn take(&mut self, message: Incoming, now: Timestamp) -> Result<(), HomeError> {
        match message {
            Incoming::AuthOk { version } => {
                self.shared.heard.lock().answered = now;
                self.shared.status.send_replace(Status::Ready { version });
            }
            // At this point the message is not the answer to `auth`, and it does not tell the outcome of commands.
            Incoming::AuthInvalid
                if self.shared.heard.lock().replied.is_some()
                    || *self.shared.status.borrow() != Status::Authenticating =>
            {
                return Err(HomeError::NotHomeAssistant {
                    seen: "auth_invalid after auth_ok",
                });
            }
            Incoming::AuthInvalid => return Err(HomeError::Rejected),
            Incoming::Answer { id, answer } => {
                {
                    let mut heard = self.shared.heard.lock();
                    heard.answered = now;
                    heard.replied = Some(now);
                }
                // An answer without a waiting caller is ignored: the caller has left, or the home sent a wrong id.
                let waiter = self.shared.waiting.lock().replies.remove(&id);
                if let Some(waiter) = waiter {
                    waiter.answer(answer);
                }
            }
            Incoming::AuthRequired | Incoming::Other => {}
        }
        Ok(())
    }
}
