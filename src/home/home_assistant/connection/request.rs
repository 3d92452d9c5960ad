//! Requests from a connection's handles to its task.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::waiting::{Claim, Waiter};

#[derive(Debug)]
pub(super) enum Request {
    Commands {
        /// The text of each command.
        commands: Vec<Arc<str>>,
        replies: Vec<Waiter>,
        claim: Arc<Claim>,
    },
    Ping(oneshot::Sender<()>),
    /// Checks the socket and writes nothing. The same check runs before each write.
    Look(oneshot::Sender<()>),
}

impl Request {
    /// Returns the callers that wait for the request's outcome.
    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        match self {
            Self::Commands { replies, .. } => replies,
            Self::Ping(_) | Self::Look(_) => Vec::new(),
        }
    }
}
