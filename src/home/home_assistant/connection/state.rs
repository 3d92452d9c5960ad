//! The state that a connection's handles and its task share.

use tokio::sync::watch;

use super::waiting::{Reply, Waiting};
use crate::base::clock::Timestamp;
use crate::base::lock::Lock;
use crate::base::secret::Fingerprint;
use crate::home::home_assistant::error::HomeError;

/// The status of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `auth` was sent, and the home has not answered yet.
    Authenticating,
    /// The home answered `auth_ok`.
    Ready {
        /// The home's version.
        version: String,
    },
    /// The connection has ended with this error.
    Closed(HomeError),
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) fingerprint: Fingerprint,
    pub(super) status: watch::Sender<Status>,
    pub(super) heard: Lock<Heard>,
    pub(super) waiting: Lock<Waiting>,
}

/// The times at which the home was heard. A message that arrived while the execution environment was frozen is read
/// only after the thaw, so it does not prove that the home is still connected. Answers to our own messages are
/// therefore recorded separately.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The last message of any kind.
    pub last: Timestamp,
    /// The last answer to one of our messages.
    pub answered: Timestamp,
    /// The last reply to a command.
    pub replied: Option<Timestamp>,
}

impl Shared {
    /// Notifies all waiting callers that the connection has ended with the error `end`.
    pub(super) fn settle_all(&self, end: &HomeError) {
        let replies = std::mem::take(&mut self.waiting.lock().replies);
        self.waiting.lock().pongs.clear();
        for (_, waiter) in replies {
            let outcome = match end {
                // A home that rejected `auth` has not read the messages after it.
                HomeError::Rejected => Reply::NotSent(end.clone()),
                other => Reply::Unknown(other.clone()),
            };
            let _ = waiter.reply.send(outcome);
        }
    }
}
