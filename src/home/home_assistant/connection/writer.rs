//! The writing half: `auth` first, then one frame a batch.

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
    /// What the kernel did not take whole, to be told `not_sent` once the connection's end is known.
    pub(super) unsent: Vec<Request>,
}

impl Writer {
    pub(super) async fn run(&mut self, auth: Zeroizing<String>) -> HomeError {
        if self.sink.send(Message::text(&**auth)).await.is_err() {
            return HomeError::Closed;
        }
        drop(auth);
        while let Some(request) = self.queue.recv().await {
            if self.is_hung_up().await {
                self.unsent.push(request);
                return HomeError::Closed;
            }
            let written = match request {
                Request::Commands {
                    commands,
                    replies,
                    claim,
                } => {
                    // Nobody waits for it any more.
                    if replies.iter().all(|waiter| waiter.reply.is_closed()) {
                        continue;
                    }
                    // One who gave up while this waited in the queue was told `not_sent`.
                    if !claim.take(Claim::WRITING) {
                        continue;
                    }
                    self.write(commands, replies, claim).await
                }
                Request::Look(seen) => {
                    // It was looked at above.
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
        // The last handle is gone. What the home says of the token must be heard all the same.
        let mut status = self.shared.status.subscribe();
        let _ = status
            .wait_for(|status| *status != Status::Authenticating)
            .await;
        // Part as the protocol asks.
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
            // Callers who left without waiting for their replies leave nothing behind.
            waiting
                .replies
                .retain(|_, waiter| !waiter.reply.is_closed());
            let first_id = waiting.next_id + 1;
            waiting.next_id += count;
            // Before the frame is written: a reply may come before the write returns.
            waiting.replies.extend((first_id..).zip(replies));
            first_id
        };
        // An error means that the kernel did not take the whole frame. (Were it a pong queued behind the frame that it
        // did not take, the reader would have met the error first: it is polled first and flushes pongs.)
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

    /// Whether the home has hung up, as far as the kernel knows: after a freeze, its farewell lies in the receive
    /// buffer.
    async fn is_hung_up(&self) -> bool {
        // Bytes may lie there unread, among them a close frame. Yielding lets the driver see them and the reader, which
        // runs in this same task, take them; it ends the task when one is a farewell. Three rounds, since bytes that
        // stay after that are part of a longer message and no reason to wait.
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
