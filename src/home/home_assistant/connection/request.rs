//! Requests from a connection's handles to its task.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::waiting::{Claim, Reply, Waiter};
use crate::home::home_assistant::error::HomeError;
use crate::home::home_assistant::message::Command;

#[derive(Debug)]
pub(super) enum Request {
    Commands {
        commands: Vec<Command>,
        replies: Vec<Waiter>,
        claim: Arc<Claim>,
    },
    Ping(oneshot::Sender<()>),
    /// Checks the socket and writes nothing. The same check runs before each write.
    Look(oneshot::Sender<()>),
}

impl Request {
    pub(super) fn refuse(self, error: &HomeError) {
        match self {
            Self::Commands { replies, .. } => {
                for waiter in replies {
                    // The send fails if the caller has left, which is fine.
                    let _ = waiter.reply.send(Reply::NotSent(error.clone()));
                }
            }
            Self::Ping(_) | Self::Look(_) => {}
        }
    }
}
