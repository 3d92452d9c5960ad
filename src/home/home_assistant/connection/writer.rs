//! The writing half of a connection: writes `auth` first, then one frame for each batch.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use zeroize::Zeroizing;

use super::request::Request;
use super::state::{Shared, Status};
use super::waiting::{Claim, Waiter};
use crate::home::home_assistant::error::HomeError;
use crate::home::home_assistant::message;
use crate::home::home_assistant::socket_watch::{SocketState, SocketWatch};
use crate::home::home_assistant::transport::Stream;

/// The largest number of frames in one write. It bounds the time that the first of them waits.
const MAX_FRAMES_A_WRITE: usize = 64;

pub(super) struct Writer {
    pub(super) sink: SplitSink<WebSocketStream<Stream>, Message>,
    pub(super) watch: SocketWatch,
    pub(super) queue: mpsc::UnboundedReceiver<Request>,
    pub(super) shared: Arc<Shared>,
    /// The callers of frames that were not written completely. They get `not_sent` when the reason for the connection's
    /// end is known.
    pub(super) unsent: Vec<Waiter>,
}

/// The ids of the commands in a frame.
type Ids = Range<u64>;

impl Writer {
    pub(super) async fn run(&mut self, auth: Zeroizing<String>) -> HomeError {
        if self.sink.send(Message::text(&**auth)).await.is_err() {
            return HomeError::Closed;
        }
        drop(auth);
        while let Some(request) = self.queue.recv().await {
            if self.is_closed_by_home().await {
                self.unsent.extend(request.into_waiters());
                return HomeError::Closed;
            }
            if !self.write(request).await {
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

    /// Writes a request, and in the same system call the requests that are already in the queue. Returns false if the
    /// write failed.
    async fn write(&mut self, mut request: Request) -> bool {
        let mut last = None;
        let mut frames = 0;
        loop {
            let (ids, is_fed) = self.feed(request).await;
            last = ids.or(last);
            if !is_fed {
                self.refuse(last);
                return false;
            }
            frames += 1;
            if frames == MAX_FRAMES_A_WRITE {
                break;
            }
            match self.queue.try_recv() {
                Ok(next) => request = next,
                Err(_) => break,
            }
        }
        let is_written = self.sink.flush().await.is_ok();
        if !is_written {
            self.refuse(last);
        }
        is_written
    }

    /// Refuses the commands of the last frame of a failed write. The kernel did not accept all bytes, so this frame is
    /// incomplete. The frames before it may be complete.
    ///
    /// The error cannot come from a pong that was queued after the frame: the reader is polled first and flushes pongs,
    /// so the reader would have got that error.
    fn refuse(&mut self, last: Option<Ids>) {
        let mut waiting = self.shared.waiting.lock();
        let ids = last.into_iter().flatten();
        self.unsent
            .extend(ids.filter_map(|id| waiting.replies.remove(&id)));
    }

    /// Puts the frame of a request into the buffer of the socket. Returns the ids of its commands, and false if a write
    /// failed.
    async fn feed(&mut self, request: Request) -> (Option<Ids>, bool) {
        match request {
            Request::Commands {
                commands,
                replies,
                claim,
            } => {
                // All callers of the batch have left.
                if replies.iter().all(|waiter| waiter.reply.is_closed()) {
                    return (None, true);
                }
                // The caller gave up while the batch was in the queue, and got `not_sent`.
                if !claim.take(Claim::WRITING) {
                    return (None, true);
                }
                let count = u64::try_from(replies.len()).unwrap_or(u64::MAX);
                // The entries are inserted before the write, because a reply may arrive before the write returns.
                let first_id = self.shared.waiting.lock().insert(replies);
                let frame = message::frame(&commands, first_id);
                let is_fed = self.sink.feed(Message::text(frame)).await.is_ok();
                (Some(first_id..first_id + count), is_fed)
            }
            Request::Look(seen) => {
                // The check of the socket has already run.
                let _ = seen.send(());
                (None, true)
            }
            Request::Ping(pong) => {
                self.shared.waiting.lock().pongs.push(pong);
                let is_fed = self.sink.feed(Message::Ping(Bytes::new())).await.is_ok();
                // The ping is the last frame now, so the frame before it may be complete.
                (Some(0..0), is_fed)
            }
        }
    }

    /// Returns true if, as far as the kernel knows, the home has closed the connection. The reader runs in the same
    /// task and ends it when it reads a close frame. The writer does not wait for the rest of a longer message.
    async fn is_closed_by_home(&self) -> bool {
        self.watch.state().await == SocketState::Closed
    }
}
