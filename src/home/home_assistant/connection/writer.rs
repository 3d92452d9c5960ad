//! The writing half of a connection: writes `auth` first, then one frame for each batch.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use zeroize::Zeroizing;

use super::request::Request;
use super::state::{Shared, Status};
use super::waiting::{Claim, Waiter};
use crate::home::home_assistant::error::HomeError;
use crate::home::home_assistant::message::{self, Command};
use crate::home::home_assistant::transport::Stream;

pub(super) struct Writer {
    pub(super) sink: SplitSink<WebSocketStream<Stream>, Message>,
    pub(super) watch: OwnedFd,
    pub(super) queue: mpsc::UnboundedReceiver<Request>,
    pub(super) shared: Arc<Shared>,
    /// Requests that were not written completely. Each request is reported as `not_sent` when the reason for the
    /// connection's end is known.
    pub(super) unsent: Vec<Request>,
}

impl Writer {
    pub(super) async fn run(&mut self, auth: Zeroizing<String>) -> HomeError {
        if self.sink.send(Message::text(&**auth)).await.is_err() {
            return HomeError::Closed;
        }
        drop(auth);
        while let Some(request) = self.queue.recv().await {
            if self.is_closed_by_home().await {
                self.unsent.push(request);
                return HomeError::Closed;
            }
            let written = match request {
                Request::Commands {
                    commands,
                    replies,
                    claim,
                } => {
                    // All callers of the batch have left.
                    if replies.iter().all(|waiter| waiter.reply.is_closed()) {
                        continue;
                    }
                    // The caller gave up while the batch was in the queue, and got `not_sent`.
                    if !claim.take(Claim::WRITING) {
                        continue;
                    }
                    self.write(commands, replies, claim).await
                }
                Request::Look(seen) => {
                    // The check above has already run.
                    let _ = seen.send(());
                    true
                }
                Request::Ping(pong) => {
                    self.shared.waiting.lock().pongs.push(pong);
                    self.sink.send(Message::Ping(Bytes::new())).await.is_ok()
                }
            };
            if !written {
                return HomeError::Closed;
            }
        }
        // The last handle was dropped. The task must still receive the home's answer to `auth`.
        let mut status = self.shared.status.subscribe();
        let _ = status
            .wait_for(|status| *status != Status::Authenticating)
            .await;
        // Close the WebSocket as the protocol requires.
        let _ = self.sink.close().await;
        HomeError::Closed
    }

    async fn write(
        &mut self,
        commands: Vec<Command>,
        replies: Vec<Waiter>,
        claim: Arc<Claim>,
    ) -> bool {
        let count = u64::try_from(replies.len()).unwrap_or(u64::MAX);
        let first_id = {
            let mut waiting = self.shared.waiting.lock();
            // Removes the entries of callers that have left.
            waiting
                .replies
                .retain(|_, waiter| !waiter.reply.is_closed());
            let first_id = waiting.next_id + 1;
            waiting.next_id += count;
            // The entries are inserted before the write, because a reply may arrive before the write returns.
            waiting.replies.extend((first_id..).zip(replies));
            first_id
        };
        // An error means that the kernel did not accept the whole frame. The error cannot come from a pong that was
        // queued after the frame: the reader is polled first and flushes pongs, so the reader would have got that
        // error.
        let frame = message::frame(&commands, first_id);
        let sent = self.sink.send(Message::text(frame)).await.is_ok();
        if !sent {
            let mut waiting = self.shared.waiting.lock();
            let replies = (first_id..first_id + count)
                .filter_map(|id| waiting.replies.remove(&id))
                .collect();
            self.unsent.push(Request::Commands {
                commands,
                replies,
                claim,
            });
        }
        sent
    }

    /// Returns true if, as far as the kernel knows, the home has closed the connection. After a freeze, the close
    /// message is in the receive buffer.
    async fn is_closed_by_home(&self) -> bool {
        // The buffer may contain unread bytes, among them a close frame. Yielding lets the I/O driver see these bytes.
        // Yielding also lets the reader, which runs in the same task, read them. The reader ends the task when it reads
        // a close frame. Three rounds are enough: bytes that are still unread then belong to a longer message, and the
        // writer does not wait for the rest of that message.
        for _ in 0..3 {
            let mut watched = [PollFd::new(&self.watch, PollFlags::IN | PollFlags::RDHUP)];
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            if poll(&mut watched, Some(&now)).is_err() {
                return true;
            }
            let seen = watched[0].revents();
            if seen.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
                return true;
            }
            if !seen.contains(PollFlags::IN) {
                return false;
            }
            tokio::task::yield_now().await;
        }
        false
    }
}
