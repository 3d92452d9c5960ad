//! The handle of a gateway.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpListener;

use super::{counters::GatewayCounters, options::GatewayOptions, server, shared::Shared};
use crate::{invoke::Invoke, lock::locked};

/// An API Gateway for one WebSocket API, on loopback. The gateway runs on the tokio runtime that starts it. Dropping
/// the handle ends all its tasks: connections break off, and invocations are cancelled.
///
/// A client can set the source IP that the function sees, with the header `X-Test-Source-Ip`.
pub struct WebSocketGateway {
    shared: Arc<Shared>,
}

impl WebSocketGateway {
    /// Starts a gateway on a port that the system chooses. All routes lead to `invoke`.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(options: GatewayOptions, invoke: Arc<dyn Invoke>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options, address, invoke));
        let server = server::serve(listener, Arc::clone(&shared));
        shared.tasks.spawn(server);
        Ok(Self { shared })
    }

    /// Returns the address that the gateway listens on.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Returns the host and port of the gateway, which events name as their domain.
    pub fn domain(&self) -> String {
        self.shared.address.to_string()
    }

    /// Returns the URL for clients, such as `ws://127.0.0.1:41234/prod`.
    pub fn url(&self) -> String {
        format!("ws://{}/{}", self.shared.address, self.shared.options.stage)
    }

    /// Returns the URL of the management API, such as `http://127.0.0.1:41234/prod`. It is the endpoint for an AWS SDK.
    pub fn management_url(&self) -> String {
        self.url().replacen("ws", "http", 1)
    }

    /// Moves the clock of the limits ahead: idle time, lifetime and rates. Times in events, and the time limit of an
    /// invocation, are those of the system.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Refuses the next `posts` posts with 429.
    pub fn throttle(&self, posts: u32) {
        locked(&self.shared.faults).throttled_posts = posts;
    }

    /// Sets whether `$disconnect` events are dropped. AWS delivers them at best effort only.
    pub fn lose_disconnects(&self, lose: bool) {
        locked(&self.shared.faults).loses_disconnects = lose;
    }

    /// Returns the counters.
    pub fn counters(&self) -> GatewayCounters {
        *self.shared.counters.borrow()
    }

    /// Waits until the counters meet a condition, and returns the counters.
    pub async fn wait_for(&self, condition: impl Fn(&GatewayCounters) -> bool) -> GatewayCounters {
        let mut counters = self.shared.counters.subscribe();
        let met = counters.wait_for(|counters| condition(counters)).await;
        // An error is impossible, because `self` owns the sender.
        met.map_or_else(|_| self.counters(), |counters| *counters)
    }

    /// Returns the number of connections to which the function can post.
    pub fn open_connections(&self) -> usize {
        locked(&self.shared.connections).len()
    }

    /// Returns the ids of the connections to which the function can post, in any order.
    pub fn connections(&self) -> Vec<String> {
        locked(&self.shared.connections).keys().cloned().collect()
    }
}

impl Drop for WebSocketGateway {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}

impl fmt::Debug for WebSocketGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocketGateway")
            .field("address", &self.shared.address)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
