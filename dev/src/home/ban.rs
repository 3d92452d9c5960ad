//! Home Assistant's IP ban: a count of failed logins for each address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Failed logins and banned addresses. As in Home Assistant, only a person can remove a ban. A login
/// over the WebSocket resets the count; a REST request does not.
#[derive(Debug)]
pub(super) struct Bans {
    threshold: Option<u32>,
    failed: BTreeMap<IpAddr, u32>,
    banned: BTreeSet<IpAddr>,
}

impl Bans {
    pub(super) fn new(threshold: Option<u32>) -> Self {
        Self {
            threshold,
            failed: BTreeMap::new(),
            banned: BTreeSet::new(),
        }
    }

    pub(super) fn is_banned(&self, peer: IpAddr) -> bool {
        self.banned.contains(&peer)
    }

    pub(super) fn login_failed(&mut self, peer: IpAddr) {
        let Some(threshold) = self.threshold else {
            return;
        };
        let failed = self.failed.entry(peer).or_default();
        *failed += 1;
        if *failed >= threshold {
            self.banned.insert(peer);
        }
    }

    pub(super) fn login_succeeded(&mut self, peer: IpAddr) {
        self.failed.remove(&peer);
    }

    pub(super) fn any(&self) -> bool {
        !self.banned.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.failed.clear();
        self.banned.clear();
    }
}
