//! Counters of everything that a home received, for the assertions of tests.

use std::{collections::BTreeMap, sync::Mutex};

use serde_json::Value;
use tokio::sync::watch;

use crate::lock::locked;

/// The requests that a home has received since its start, and their effects.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// TCP connections accepted.
    pub tcp_connections: u64,
    /// TLS connections that resumed a session of an earlier connection.
    pub tls_resumptions: u64,
    /// HTTP requests by path, including WebSocket upgrades.
    pub http_requests: BTreeMap<String, u64>,
    /// Requests for `/api/config`, with any response.
    pub config_checks: u64,
    /// Requests for `/api/websocket`, with any response.
    pub upgrade_requests: u64,
    /// Upgrades that got a response with status 101.
    pub websocket_upgrades: u64,
    /// Authenticated WebSockets that are open now.
    pub open_sockets: u64,
    /// `auth_ok` messages sent.
    pub auth_ok: u64,
    /// `auth_invalid` messages sent.
    pub auth_invalid: u64,
    /// Failed logins: wrong tokens, over REST or the WebSocket. They count towards the ban.
    pub failed_logins: u64,
    /// Commands received on authenticated WebSockets, by type, executed or not.
    pub commands: BTreeMap<String, u64>,
    /// Executed service calls, in order.
    pub service_calls: Vec<ServiceCall>,
    /// WebSocket ping frames received.
    pub ping_frames: u64,
    /// WebSocket pong frames received.
    pub pong_frames: u64,
    /// Close frames received, by code. A frame without a code counts as 1005.
    pub close_frames: BTreeMap<u16, u64>,
    /// How often each token was presented, over REST or the WebSocket.
    pub tokens_presented: BTreeMap<String, u64>,
    /// How often a fault took effect.
    pub faults_hit: u64,
}

impl Counters {
    /// Returns the number of requests for this path.
    pub fn requests(&self, path: &str) -> u64 {
        self.http_requests.get(path).copied().unwrap_or_default()
    }

    /// Returns the number of `ping` commands and ping frames received.
    pub fn pings(&self) -> u64 {
        self.ping_frames + self.commands.get("ping").copied().unwrap_or_default()
    }

    /// Returns how often this token was presented.
    pub fn presented(&self, token: &str) -> u64 {
        self.tokens_presented
            .get(token)
            .copied()
            .unwrap_or_default()
    }

    /// Returns how often this service was executed with this entity among its targets.
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

/// A service call that the home executed.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceCall {
    /// The service's domain, such as `light`.
    pub domain: String,
    /// The service's name, such as `turn_on`.
    pub service: String,
    /// The entities that the call names, known or unknown.
    pub entity_ids: Vec<String>,
    /// Service data and target, merged as in Home Assistant.
    pub data: Value,
}

/// Counters that a task can wait for.
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
                // Unreachable: `self` owns the sender.
                std::future::pending::<()>().await;
            }
        }
    }
}
