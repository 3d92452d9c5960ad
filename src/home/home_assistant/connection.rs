//! One authenticated WebSocket that any number of callers share.
//!
//! A task owns the socket. Callers send commands to the task. The task numbers the commands, writes each batch as one
//! frame directly after `auth` without waiting for `auth_ok`, and matches replies by id.
//!
//! # At most once
//!
//! The state of a command's frame decides whether the command may have reached the home:
//!
//! * The task did not start to write the frame: `not_sent`. The task checks the socket first, so it detects a
//!   connection that the home closed while the execution environment was frozen before it writes anything.
//! * The write failed: `not_sent`. The kernel did not accept the whole frame, and an incomplete frame is not a message.
//!   Frames that were in the queue at the same time share one write. If it fails, only the last frame is certainly
//!   incomplete. The commands of the other frames are `unknown`.
//! * The frame was written and a reply arrived: `answered`.
//! * The frame was written and no reply arrived: `unknown`, with one exception. A home that answers `auth` with
//!   `auth_invalid` reads no further messages, so commands after `auth` are `not_sent`.
//!
//! The task itself reports a rejected token, whether or not a caller waits. The task runs until the home has answered
//! `auth`.

mod reader;
mod request;
mod state;
mod waiting;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use reader::Reader;
use request::Request;
use state::Shared;
pub use state::{Heard, Status};
use tokio::sync::{mpsc, oneshot, watch};
pub use waiting::Sieve;
use waiting::{Claim, Reply, Waiter};
use writer::Writer;
use zeroize::Zeroizing;

use super::error::{HomeError, Stage};
use super::message::{self, Answer, Command};
use super::socket::Greeted;
use crate::base::clock::{Clock, Limit};
use crate::base::lock::Lock;
use crate::base::secret::{AccessToken, Fingerprint};

/// The outcome of a command that was sent.
#[derive(Debug)]
pub enum Outcome {
    /// The home answered.
    Answered(Answer),
    /// The command may or may not have been executed.
    Unknown(HomeError),
}

/// A handle to a connection. The connection ends when its last handle is dropped.
#[derive(Clone, Debug)]
pub struct Connection {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
}

/// The limits of a connection and its clock.
pub(super) struct ConnectionTerms {
    /// The timeout of `auth`.
    pub(super) auth_timeout: Duration,
    /// The largest accepted message, in bytes.
    pub(super) max_message_bytes: usize,
    pub(super) clock: Arc<dyn Clock>,
}

impl Connection {
    /// Starts a connection: sends `auth` on a socket on which the home has sent its greeting. Must be called within a
    /// tokio runtime.
    pub(super) fn start(
        greeted: Greeted,
        token: &AccessToken,
        terms: ConnectionTerms,
        rejected: impl FnOnce(Fingerprint) + Send + 'static,
    ) -> Self {
        let ConnectionTerms {
            auth_timeout,
            max_message_bytes,
            clock,
        } = terms;
        let now = clock.now();
        let (requests, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            fingerprint: token.fingerprint(),
            status: watch::Sender::new(Status::Authenticating),
            heard: Lock::new(Heard {
                last: now,
                answered: now,
                replied: None,
            }),
            waiting: Lock::default(),
        });
        let (sink, stream) = greeted.socket.split();
        let writer = Writer {
            sink,
            watch: greeted.watch,
            queue,
            shared: shared.clone(),
            unsent: Vec::new(),
        };
        let reader = Reader {
            stream,
            shared: shared.clone(),
            clock,
            max_message_bytes,
        };
        // A token is text, and text can always be written as JSON, so this never fails.
        let auth = message::auth_frame(token).unwrap_or_default();
        tokio::spawn(drive(reader, writer, auth, auth_timeout, rejected));
        Self { requests, shared }
    }

    /// Returns true if both handles belong to the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns the fingerprint of the token that the connection authenticated with.
    pub fn fingerprint(&self) -> Fingerprint {
        self.shared.fingerprint
    }

    /// Returns the status of the connection.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// Returns the times at which the home was last heard.
    pub fn heard(&self) -> Heard {
        *self.shared.heard.lock()
    }

    /// Returns true if the connection is closed.
    pub fn is_closed(&self) -> bool {
        matches!(*self.shared.status.borrow(), Status::Closed(_))
    }

    /// Waits until the home has answered `auth`. Returns the home's version.
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

    /// Sends a ping and returns true if the home answers within `limit`.
    pub async fn is_alive(&self, limit: Duration) -> bool {
        let (pong, answered) = oneshot::channel();
        self.requests.send(Request::Ping(pong)).is_ok()
            && matches!(tokio::time::timeout(limit, answered).await, Ok(Ok(())))
    }

    /// Returns true if, as far as the kernel knows, the home has not closed the connection. Costs no round trip.
    /// A socket that does not accept bytes for `limit` counts as closed.
    pub async fn is_open(&self, limit: Duration) -> bool {
        let (seen, looked) = oneshot::channel();
        self.requests.send(Request::Look(seen)).is_ok()
            && matches!(tokio::time::timeout(limit, looked).await, Ok(Ok(())))
    }

    /// Runs a batch of commands in one frame. `Err` means that none of the commands reached the home.
    pub async fn execute(
        &self,
        commands: &[Command],
        sieve: Option<&Arc<Sieve>>,
        limit: Limit,
    ) -> Result<Vec<Outcome>, HomeError> {
        let claim = Arc::new(Claim::default());
        let (replies, mut answers): (Vec<_>, Vec<_>) = (0..commands.len())
            .map(|place| {
                let (reply, answer) = oneshot::channel();
                let sieve = sieve.map(|sieve| (place, sieve.clone()));
                (Waiter { reply, sieve }, answer)
            })
            .unzip();
        let request = Request::Commands {
            commands: commands.iter().map(Command::text).collect(),
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
                    // The task ended with the batch. The claim shows whether the task had started to write the frame.
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
                // One frame contains the whole batch, so all commands have the same outcome.
                Reply::NotSent(error) if outcomes.is_empty() => return Err(error),
                // A part of the batch already has another outcome, so the home contradicts itself and the outcome is
                // unknown.
                Reply::NotSent(error) => Outcome::Unknown(error),
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

/// The time that the reader continues after the writer has ended, to receive the messages that the home had already
/// sent.
const DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// Runs a connection until it ends.
async fn drive(
    mut reader: Reader,
    mut writer: Writer,
    auth: Zeroizing<String>,
    auth_timeout: Duration,
    rejected: impl FnOnce(Fingerprint),
) {
    let shared = reader.shared.clone();
    let written = tokio::select! {
        biased;
        end = reader.run(auth_timeout) => Err(end),
        end = writer.run(auth) => Ok(end),
    };
    let end = match written {
        Err(end) => end,
        // The home's last messages may still be unread: replies, or the rejection of the token.
        Ok(end) => tokio::time::timeout(DRAIN_LIMIT, reader.run(auth_timeout))
            .await
            .unwrap_or(end),
    };
    tracing::debug!(error = %end, stage = "socket", "connection ended");
    if end == HomeError::Rejected {
        // The rejection is reported before the callers are notified, because they then ask for the next token.
        rejected(shared.fingerprint);
    }
    writer.queue.close();
    // The status is set before the callers are notified, because they then check it.
    shared.status.send_replace(Status::Closed(end.clone()));
    shared.settle_all(&end);
    for waiter in writer.unsent.drain(..) {
        waiter.refuse(&end);
    }
    while let Some(request) = writer.queue.recv().await {
        for waiter in request.into_waiters() {
            waiter.refuse(&end);
        }
    }
}
