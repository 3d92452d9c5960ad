//! One authenticated WebSocket, shared by any number of callers.
//!
//! A task owns the socket. Callers hand it commands; it numbers them, writes each batch as one frame right behind `auth`
//! without waiting for `auth_ok`, and matches replies by id.
//!
//! # At most once
//!
//! Whether a command may have reached the home is decided by what became of its frame:
//!
//! * The task never began to write it: `not_sent`. The task looks at the socket first, so a connection that the home
//!   closed while the sandbox was frozen is noticed before anything is written.
//! * Writing failed: `not_sent`. The kernel did not take the whole frame, and half a frame is no message.
//! * It was written and answered: `answered`.
//! * It was written and not answered: `unknown`, with one exception: after `auth_invalid` a home reads nothing more, so
//!   what stood behind `auth` is `not_sent`.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::error::{HomeError, Stage};
use super::message::{self, Answer, Command, Incoming};
use super::socket::Greeted;
use super::transport::Stream;
use crate::clock::{Clock, Limit, Timestamp};
use crate::secret::{AccessToken, Fingerprint};

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `auth` is under way.
    Authenticating,
    /// The home said `auth_ok`.
    Ready {
        /// Its version.
        version: String,
    },
    /// It is over.
    Closed(HomeError),
}

/// What became of a command that was sent.
#[derive(Debug)]
pub enum Outcome {
    /// The home answered.
    Answered(Answer),
    /// It may or may not have been executed.
    Unknown(HomeError),
}

/// A handle to a connection; the connection ends with its last handle.
#[derive(Clone, Debug)]
pub struct Connection {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fingerprint: Fingerprint,
    status: watch::Sender<Status>,
    // Std mutexes: nothing awaits while one is held.
    last_heard: Mutex<Timestamp>,
    waiting: Mutex<Waiting>,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    replies: HashMap<u64, oneshot::Sender<Reply>>,
    pongs: Vec<oneshot::Sender<()>>,
}

#[derive(Debug)]
enum Reply {
    Answered(Answer),
    NotSent(HomeError),
    Unknown(HomeError),
}

#[derive(Debug)]
enum Request {
    Commands {
        commands: Vec<Command>,
        replies: Vec<oneshot::Sender<Reply>>,
        claim: Arc<Claim>,
    },
    Ping(oneshot::Sender<()>),
}

/// Settles between a caller who gives up and the task who begins to write: exactly one of them gets the batch.
#[derive(Debug, Default)]
struct Claim(AtomicU8);

impl Claim {
    const FREE: u8 = 0;
    const WRITING: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn take(&self, state: u8) -> bool {
        self.0
            .compare_exchange(Self::FREE, state, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Connection {
    /// Sends `auth` on a socket whose home has greeted. Must be called within a tokio runtime.
    pub(super) fn start(
        greeted: Greeted,
        token: &AccessToken,
        auth_timeout: Duration,
        max_message_bytes: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            fingerprint: token.fingerprint(),
            status: watch::Sender::new(Status::Authenticating),
            last_heard: Mutex::new(clock.now()),
            waiting: Mutex::default(),
        });
        let (sink, stream) = greeted.socket.split();
        let writer = Writer {
            sink,
            watch: greeted.watch,
            queue,
            shared: shared.clone(),
        };
        let reader = Reader {
            stream,
            shared: shared.clone(),
            clock,
            max_message_bytes,
        };
        tokio::spawn(drive(reader, writer, token.clone(), auth_timeout));
        Self { requests, shared }
    }

    /// Whether both are handles to the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Which token it authenticated with.
    pub fn fingerprint(&self) -> Fingerprint {
        self.shared.fingerprint
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// When the home was last heard.
    pub fn last_heard(&self) -> Timestamp {
        *lock(&self.shared.last_heard)
    }

    /// Waits until the home has answered `auth`. `Ok` holds its version.
    pub async fn ready(&self, limit: Limit) -> Result<String, HomeError> {
        let mut status = self.shared.status.subscribe();
        let settled = status.wait_for(|status| *status != Status::Authenticating);
        match tokio::time::timeout(limit.duration, settled).await {
            Ok(Ok(status)) => match &*status {
                Status::Ready { version } => Ok(version.clone()),
                Status::Closed(error) => Err(error.clone()),
                Status::Authenticating => Err(HomeError::Closed),
            },
            Ok(Err(_)) => Err(HomeError::Closed),
            Err(_) => Err(HomeError::out_of_time(Stage::Auth, limit)),
        }
    }

    /// Proves by a ping that the home is still there.
    pub async fn is_alive(&self, limit: Duration) -> bool {
        let (pong, answered) = oneshot::channel();
        self.requests.send(Request::Ping(pong)).is_ok()
            && matches!(tokio::time::timeout(limit, answered).await, Ok(Ok(())))
    }

    /// Runs a batch of commands, sent in one frame. `Err` means that none of them reached the home.
    pub async fn execute(
        &self,
        commands: &[Command],
        limit: Limit,
    ) -> Result<Vec<Outcome>, HomeError> {
        let claim = Arc::new(Claim::default());
        let (replies, mut answers): (Vec<_>, Vec<_>) =
            commands.iter().map(|_| oneshot::channel()).unzip();
        let request = Request::Commands {
            commands: commands.to_vec(),
            replies,
            claim: claim.clone(),
        };
        if self.requests.send(request).is_err() {
            return Err(self.ended());
        }
        let expiry = tokio::time::sleep(limit.duration);
        tokio::pin!(expiry);
        let mut outcomes = Vec::with_capacity(commands.len());
        for answer in &mut answers {
            let reply = tokio::select! {
                biased;
                reply = answer => reply.unwrap_or_else(|_| {
                    // The task ended with the batch in its hands: the claim tells whether it had begun to write.
                    if claim.take(Claim::GIVEN_UP) {
                        Reply::NotSent(self.ended())
                    } else {
                        Reply::Unknown(self.ended())
                    }
                }),
                () = &mut expiry => {
                    let stage = match self.status() {
                        Status::Authenticating => Stage::Auth,
                        Status::Ready { .. } | Status::Closed(_) => Stage::Command,
                    };
                    let error = HomeError::out_of_time(stage, limit);
                    if claim.take(Claim::GIVEN_UP) {
                        return Err(error);
                    }
                    Reply::Unknown(error)
                }
            };
            outcomes.push(match reply {
                Reply::Answered(answer) => Outcome::Answered(answer),
                Reply::Unknown(error) => Outcome::Unknown(error),
                // One frame carried them all: what holds for one holds for all.
                Reply::NotSent(error) => return Err(error),
            });
        }
        Ok(outcomes)
    }

    fn ended(&self) -> HomeError {
        match self.status() {
            Status::Closed(error) => error,
            Status::Authenticating | Status::Ready { .. } => HomeError::Closed,
        }
    }
}

/// Runs a connection to its end.
async fn drive(mut reader: Reader, mut writer: Writer, token: AccessToken, auth_timeout: Duration) {
    let shared = reader.shared.clone();
    let end = tokio::select! {
        biased;
        end = reader.run(auth_timeout) => end,
        end = writer.run(&token) => end,
    };
    tracing::debug!(error = %end, stage = "socket", "connection over");
    writer.queue.close();
    // Set before anyone is told: whoever is told looks here first.
    shared.status.send_replace(Status::Closed(end.clone()));
    shared.settle_all(&end);
    while let Some(request) = writer.queue.recv().await {
        request.refuse(&end);
    }
}

impl Request {
    fn refuse(self, error: &HomeError) {
        match self {
            Self::Commands { replies, .. } => {
                for reply in replies {
                    // A caller who has left wants no reply.
                    let _ = reply.send(Reply::NotSent(error.clone()));
                }
            }
            Self::Ping(_) => {}
        }
    }
}

impl Shared {
    /// Tells everyone who waits for a reply that none will come.
    fn settle_all(&self, end: &HomeError) {
        let replies = std::mem::take(&mut lock(&self.waiting).replies);
        lock(&self.waiting).pongs.clear();
        for (_, reply) in replies {
            let outcome = match end {
                // A home that refused `auth` has read nothing behind it.
                HomeError::Rejected => Reply::NotSent(end.clone()),
                other => Reply::Unknown(other.clone()),
            };
            let _ = reply.send(outcome);
        }
    }
}

struct Writer {
    sink: SplitSink<WebSocketStream<Stream>, Message>,
    watch: OwnedFd,
    queue: mpsc::UnboundedReceiver<Request>,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(&mut self, token: &AccessToken) -> HomeError {
        let Ok(auth) = message::auth_frame(token) else {
            return HomeError::Closed;
        };
        if self.sink.send(Message::text(auth)).await.is_err() {
            return HomeError::Closed;
        }
        while let Some(request) = self.queue.recv().await {
            if self.is_hung_up().await {
                request.refuse(&HomeError::Closed);
                return HomeError::Closed;
            }
            let written = match request {
                Request::Commands {
                    commands,
                    replies,
                    claim,
                } => {
                    // One who gave up while this waited in the queue was told `not_sent`.
                    if !claim.take(Claim::WRITING) {
                        continue;
                    }
                    self.write(&commands, replies).await
                }
                Request::Ping(pong) => {
                    lock(&self.shared.waiting).pongs.push(pong);
                    self.sink
                        .send(Message::Ping(Default::default()))
                        .await
                        .map_err(|_| HomeError::Closed)
                }
            };
            if let Err(error) = written {
                return error;
            }
        }
        // The last handle is gone: part as the protocol asks.
        let _ = self.sink.close().await;
        HomeError::Closed
    }

    async fn write(
        &mut self,
        commands: &[Command],
        replies: Vec<oneshot::Sender<Reply>>,
    ) -> Result<(), HomeError> {
        let count = u64::try_from(replies.len()).unwrap_or(u64::MAX);
        let first_id = {
            let mut waiting = lock(&self.shared.waiting);
            // Callers who left without waiting for their replies leave nothing behind.
            waiting.replies.retain(|_, reply| !reply.is_closed());
            let first_id = waiting.next_id + 1;
            waiting.next_id += count;
            // Before the frame is written: a reply may come before the write returns.
            waiting.replies.extend((first_id..).zip(replies));
            first_id
        };
        let sent = match message::frame(commands, first_id) {
            Ok(text) => self.sink.send(Message::text(text)).await.is_ok(),
            Err(_) => false,
        };
        if sent {
            return Ok(());
        }
        let mut waiting = lock(&self.shared.waiting);
        for id in first_id..first_id + count {
            if let Some(reply) = waiting.replies.remove(&id) {
                let _ = reply.send(Reply::NotSent(HomeError::Closed));
            }
        }
        Err(HomeError::Closed)
    }

    /// Whether the home has hung up, as far as the kernel knows: after a freeze, its farewell lies in the receive buffer.
    async fn is_hung_up(&self) -> bool {
        // Bytes may lie there unread, among them a close frame. Yielding lets the driver see them and the reader, which
        // runs in this same task, take them; it ends the task when one is a farewell. Three rounds, since bytes that stay
        // after that are part of a longer message and no reason to wait.
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

struct Reader {
    stream: SplitStream<WebSocketStream<Stream>>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    max_message_bytes: usize,
}

impl Reader {
    async fn run(&mut self, auth_timeout: Duration) -> HomeError {
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

    /// Takes one message. `Err` is the connection's end.
    async fn read(&mut self) -> Result<(), HomeError> {
        let received = self.stream.next().await;
        *lock(&self.shared.last_heard) = self.clock.now();
        match received {
            Some(Ok(Message::Text(text))) => {
                let messages = message::parse(&text).map_err(|_| HomeError::NotHomeAssistant {
                    seen: "a malformed message on the WebSocket",
                })?;
                drop(text);
                messages
                    .into_iter()
                    .try_for_each(|message| self.take(message))
            }
            // The library answers pings by itself.
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Pong(_))) => {
                for pong in std::mem::take(&mut lock(&self.shared.waiting).pongs) {
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

    fn take(&self, message: Incoming) -> Result<(), HomeError> {
        match message {
            Incoming::AuthOk { version } => {
                self.shared.status.send_replace(Status::Ready { version });
            }
            Incoming::AuthInvalid => return Err(HomeError::Rejected),
            Incoming::Answer { id, answer } => {
                // An id nobody waits for: its caller has left, or the home is confused. Neither is ours to mend.
                if let Some(reply) = lock(&self.shared.waiting).replies.remove(&id) {
                    let _ = reply.send(Reply::Answered(answer));
                }
            }
            Incoming::AuthRequired | Incoming::Other => {}
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while a lock is held, and no state here can be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
