//! What a connection's handles and its task share.

use tokio::sync::watch;

use super::waiting::{Reply, Waiting};
use crate::base::clock::Timestamp;
use crate::base::lock::Lock;
use crate::base::secret::Fingerprint;
use crate::home::home_assistant::error::HomeError;

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

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) fingerprint: Fingerprint,
    pub(super) status: watch::Sender<Status>,
    pub(super) heard: Lock<Heard>,
    pub(super) waiting: Lock<Waiting>,
}

/// When the home was heard. A message that lay in the receive buffer while the sandbox was frozen is heard at the thaw
/// and proves nothing, so answers to what we sent are told apart.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Anything.
    pub last: Timestamp,
    /// An answer to something we sent.
    pub answered: Timestamp,
    /// An answer to a command.
    pub replied: Option<Timestamp>,
}

impl Shared {
    /// Tells everyone who waits for a reply that none will come.
    pub(super) fn settle_all(&self, end: &HomeError) {
        let replies = std::mem::take(&mut self.waiting.lock().replies);
        self.waiting.lock().pongs.clear();
        for (_, waiter) in replies {
            let outcome = match end {
                // A home that refused `auth` has read nothing behind it.
                HomeError::Rejected => Reply::NotSent(end.clone()),
                other => Reply::Unknown(other.clone()),
            };
            let _ = waiter.reply.send(outcome);
        }
    }
}
