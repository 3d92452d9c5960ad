//! What a home has seen, so that tests can prove what was, and was not, sent.

use std::{collections::BTreeMap, sync::Mutex};

use serde_json::Value;
use tokio::sync::watch;

use super::locked;

/// What a home has seen since it started.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// TCP connections accepted.
    pub tcp_connections: u64,
    /// HTTP requests by path, socket upgrades included.
    pub http_requests: BTreeMap<String, u64>,
    /// Requests for `/api/config`, whatever the answer.
    pub config_checks: u64,
    /// Requests for `/api/websocket`, whatever the answer.
    pub upgrade_requests: u64,
    /// Upgrades that were answered with 101.
    pub websocket_upgrades: u64,
    /// Sockets authenticated and open now.
    pub open_sockets: u64,
    /// `auth_ok` sent.
    pub auth_ok: u64,
    /// `auth_invalid` sent.
    pub auth_invalid: u64,
    /// Strikes towards the ban: wrong tokens, over REST or the socket.
    pub failed_logins: u64,
    /// Commands received on authenticated sockets, by type, executed or not.
    pub commands: BTreeMap<String, u64>,
    /// Service calls executed, in order.
    pub service_calls: Vec<ServiceCall>,
    /// WebSocket ping frames received.
    pub ping_frames: u64,
    /// WebSocket pong frames received.
    pub pong_frames: u64,
    /// Close frames received, by code (1005 when there was none).
    pub close_frames: BTreeMap<u16, u64>,
    /// How often each distinct token was presented, over REST or the socket.
    pub tokens_presented: BTreeMap<String, u64>,
    /// How often a fault took effect.
    pub faults_hit: u64,
}

impl Counters {
    /// Requests for this path.
    pub fn requests(&self, path: &str) -> u64 {
        self.http_requests.get(path).copied().unwrap_or_default()
    }

    /// `type: ping` commands and ping frames received.
    pub fn pings(&self) -> u64 {
        self.ping_frames + self.commands.get("ping").copied().unwrap_or_default()
    }

    /// How often this token was presented.
    pub fn presented(&self, token: &str) -> u64 {
        self.tokens_presented
            .get(token)
            .copied()
            .unwrap_or_default()
    }

    /// How often this service was executed with this entity among its targets.
    pub fn calls_of(&self, domain: &str, service: &str, entity_id: &str) -> usize {
        self.service_calls
            .iter()
            .filter(|call| {
                call.domain == domain
                    && call.service == service
                    && call.entity_ids.iter().any(|id| id == entity_id)
            })
            .count()
    }
}

/// A service call the home has executed.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceCall {
    /// The service's domain, `light`.
    pub domain: String,
    /// The service's name, `turn_on`.
    pub service: String,
    /// The entities named, known or not.
    pub entity_ids: Vec<String>,
    /// Service data and target merged, as Home Assistant does.
    pub data: Value,
}

/// Counters that can be awaited.
#[derive(Debug)]
pub(super) struct Tally {
    counters: Mutex<Counters>,
    changed: watch::Sender<()>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            counters: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut locked(&self.counters));
        self.changed.send_replace(());
    }

    pub(super) fn snapshot(&self) -> Counters {
        locked(&self.counters).clone()
    }

    pub(super) async fn wait_for(&self, condition: impl Fn(&Counters) -> bool) -> Counters {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            {
                let counters = locked(&self.counters);
                if condition(&counters) {
                    return counters.clone();
                }
            }
            if changed.changed().await.is_err() {
                // The sender lives in `self`, so this cannot end; waiting is the honest answer.
                std::future::pending::<()>().await;
            }
        }
    }
}
