//! One authenticated WebSocket, shared by any number of callers.
//!
//! A task owns the socket. Callers hand it commands; it numbers them, writes each batch as one frame right behind
//! `auth` without waiting for `auth_ok`, and matches replies by id.
//!
//! # At most once
//!
//! Whether a command may have reached the home is decided by what became of its frame:
//!
//! * The task never began to write it: `not_sent`. The task looks at the socket first, so a connection that the home
//!   closed while the sandbox was frozen is noticed before anything is written.
//! * Writing failed: `not_sent`. The kernel did not take the whole frame, and half a frame is no message.
//! * It was written and answered: `answered`.
//! * It was written and not answered: `unknown`, with one exception: a home that answers `auth` with `auth_invalid`
//!   reads nothing more, so what stood behind `auth` is `not_sent`.
//!
//! A refusal of the token is reported by the task itself, whether or not anybody waits, and the task lives until the
//! home has answered `auth`.

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

/// The limits of a connection, and its clock.
pub(super) struct ConnectionTerms {
    /// The longest time that the home takes to answer `auth`.
    pub(super) auth_timeout: Duration,
    /// The largest message that is accepted.
    pub(super) max_message_bytes: usize,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
}

impl Connection {
    /// Sends `auth` on a socket whose home has greeted. Must be called within a tokio runtime.
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
        // A token that passed the offline checks is text, and text can always be written as JSON.
        let auth = message::auth_frame(token).unwrap_or_default();
        tokio::spawn(drive(reader, writer, auth, auth_timeout, rejected));
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
    pub fn heard(&self) -> Heard {
        *self.shared.heard.lock()
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(*self.shared.status.borrow(), Status::Closed(_))
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

    /// Whether the home has not hung up, as far as the kernel knows. Costs no round trip.
    pub async fn is_open(&self) -> bool {
        let (seen, looked) = oneshot::channel();
        self.requests.send(Request::Look(seen)).is_ok() && looked.await.is_ok()
    }

    /// Runs a batch of commands, sent in one frame. `Err` means that none of them reached the home.
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
                Reply::NotSent(error) if outcomes.is_empty() => return Err(error),
                // Unless the home contradicts itself; then nothing is certain.
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

/// How long the reader may go on once the writer has ended, to take in what the home had sent by then.
const DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// Runs a connection to its end.
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
        // The home's last words may lie unread: answers, or a refusal of the token.
        Ok(end) => tokio::time::timeout(DRAIN_LIMIT, reader.run(auth_timeout))
            .await
            .unwrap_or(end),
    };
    tracing::debug!(error = %end, stage = "socket", "connection over");
    if end == HomeError::Rejected {
        // Before anyone is told: whoever is told asks for the next token.
        rejected(shared.fingerprint);
    }
    writer.queue.close();
    // Likewise: whoever is told looks here first.
    shared.status.send_replace(Status::Closed(end.clone()));
    shared.settle_all(&end);
    for request in writer.unsent.drain(..) {
        request.refuse(&end);
    }
    while let Some(request) = writer.queue.recv().await {
        request.refuse(&end);
    }
}
