//! Waiting callers, and the agreement between a caller and the task that owns the socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;

use crate::home::home_assistant::error::HomeError;
use crate::home::home_assistant::message::Answer;

/// Processes each answer of a batch as it arrives. The arguments are the command's position in the batch and the
/// answer. Returns the answer to keep.
///
/// The sieve runs in the task that reads the socket, so a batch of large answers is never in memory as a whole.
pub type Sieve = dyn Fn(usize, Answer) -> Answer + Send + Sync;

/// The callers that wait for a reply or a pong.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) next_id: u64,
    pub(super) replies: HashMap<u64, Waiter>,
    /// The number of entries at which the entries of callers that have left are removed.
    purge_at: usize,
    pub(super) pongs: Vec<oneshot::Sender<()>>,
}

/// The least number of entries at which the entries of callers that have left are removed.
const LEAST_PURGE: usize = 128;

impl Waiting {
    /// Inserts the callers of a frame. Returns the id of the first command.
    pub(super) fn insert(&mut self, replies: Vec<Waiter>) -> u64 {
        if self.replies.len() >= self.purge_at.max(LEAST_PURGE) {
            self.replies.retain(|_, waiter| !waiter.reply.is_closed());
            // The cost of a purge is shared by as many inserts as there are entries.
            self.purge_at = 2 * self.replies.len();
        }
        let first_id = self.next_id + 1;
        for (id, waiter) in (first_id..).zip(replies) {
            self.replies.insert(id, waiter);
            self.next_id = id;
        }
        first_id
    }
}

/// A caller that waits for the reply to one command.
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Reply>,
    /// The command's position in its batch and the sieve that processes the answer first.
    pub(super) sieve: Option<(usize, Arc<Sieve>)>,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}

impl Waiter {
    pub(super) fn answer(self, answer: Answer) {
        if self.reply.is_closed() {
            return;
        }
        let answer = match self.sieve {
            Some((place, sieve)) => sieve(place, answer),
            None => answer,
        };
        // The send fails if the caller has left, which is fine.
        let _ = self.reply.send(Reply::Answered(answer));
    }

    /// Tells the caller that the command was not sent.
    pub(super) fn refuse(self, error: &HomeError) {
        // The send fails if the caller has left, which is fine.
        let _ = self.reply.send(Reply::NotSent(error.clone()));
    }
}

#[derive(Debug)]
pub(super) enum Reply {
    Answered(Answer),
    NotSent(HomeError),
    Unknown(HomeError),
}

/// Decides between a caller that gives up and the task that starts to write: exactly one of them gets the batch.
#[derive(Debug, Default)]
pub(super) struct Claim(AtomicU8);

impl Claim {
    pub(super) const FREE: u8 = 0;
    pub(super) const WRITING: u8 = 1;
    pub(super) const GIVEN_UP: u8 = 2;

    pub(super) fn take(&self, state: u8) -> bool {
        self.0
            .compare_exchange(Self::FREE, state, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}
