//! The state that all connections of a gateway share.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use super::{
    clock::Clock,
    connection::Connection,
    counters::GatewayCounters,
    options::GatewayOptions,
    rate_limit::{Bucket, RateLimit},
    tasks::Tasks,
};
use crate::{invoke::Invoke, lock::locked};

/// The state that all connections share. The mutexes are std mutexes: no lock is held across an await.
pub(super) struct Shared {
    pub(super) options: GatewayOptions,
    pub(super) address: SocketAddr,
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) clock: Clock,
    pub(super) counters: watch::Sender<GatewayCounters>,
    pub(super) tasks: Tasks,
    /// The connections to which the function can post, by id.
    pub(super) connections: Mutex<HashMap<String, Arc<Connection>>>,
    pub(super) faults: Mutex<Faults>,
    posts: Mutex<Option<Bucket>>,
    handshakes: Mutex<Option<Bucket>>,
}

/// The faults that a test has armed.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The number of posts that are still refused.
    pub(super) throttled_posts: u32,
    /// True if `$disconnect` events are dropped.
    pub(super) loses_disconnects: bool,
}

impl Shared {
    pub(super) fn new(
        options: GatewayOptions,
        address: SocketAddr,
        invoke: Arc<dyn Invoke>,
    ) -> Self {
        let clock = Clock::new();
        let bucket = |limit: Option<RateLimit>| {
            Mutex::new(limit.map(|limit| Bucket::new(limit, clock.now())))
        };
        Self {
            posts: bucket(options.post_rate),
            handshakes: bucket(options.connection_rate),
            options,
            address,
            invoke,
            clock,
            counters: watch::Sender::default(),
            tasks: Tasks::new(),
            connections: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut GatewayCounters)) {
        self.counters.send_modify(change);
    }

    /// Returns true if the limits allow another new connection.
    pub(super) fn may_connect(&self) -> bool {
        self.take(&self.handshakes)
    }

    /// Returns true if the limits and the armed faults allow another post.
    pub(super) fn may_post(&self) -> bool {
        let mut faults = locked(&self.faults);
        if faults.throttled_posts > 0 {
            faults.throttled_posts -= 1;
            return false;
        }
        self.take(&self.posts)
    }

    fn take(&self, bucket: &Mutex<Option<Bucket>>) -> bool {
        let mut bucket = locked(bucket);
        let bucket = bucket.as_mut();
        bucket.is_none_or(|bucket| bucket.take(self.clock.now()))
    }

    /// Opens a connection for posts.
    pub(super) fn add(&self, connection: &Arc<Connection>) {
        let id = connection.id.clone();
        locked(&self.connections).insert(id, Arc::clone(connection));
        self.count(|counters| counters.open_connections += 1);
    }

    /// Returns an open connection.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Connection>> {
        locked(&self.connections).get(id).cloned()
    }

    /// Closes a connection for posts. Returns the connection if it was open.
    pub(super) fn remove(&self, id: &str) -> Option<Arc<Connection>> {
        let removed = locked(&self.connections).remove(id);
        if removed.is_some() {
            self.count(|counters| counters.open_connections -= 1);
        }
        removed
    }
}
