//! A connection of a home.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use hyper::upgrade::OnUpgrade;

use super::{shared::Shared, wire::Wire};
use crate::lock::locked;

/// A connection, as its requests see it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: IpAddr,
    pub(super) wire: Wire,
    /// Set by the request that gets a response with status 101.
    pub(super) upgrade: Mutex<Option<OnUpgrade>>,
}

impl Connection {
    /// Returns true if the peer's address is banned.
    pub(super) fn is_banned(&self) -> bool {
        locked(&self.shared.bans).is_banned(self.peer)
    }

    /// Counts a failed login of the peer.
    pub(super) fn login_failed(&self) {
        locked(&self.shared.bans).login_failed(self.peer);
        self.shared
            .tally
            .count(|counters| counters.failed_logins += 1);
    }
}
