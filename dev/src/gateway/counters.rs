//! The counters of a gateway.

/// The counters of a gateway since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayCounters {
    /// Connections to which the function can post now.
    pub open_connections: u64,
    /// `$connect` events.
    pub connects: u64,
    /// `$default` events.
    pub messages: u64,
    /// Connections that have ended.
    pub ended: u64,
    /// `$disconnect` events.
    pub disconnects: u64,
    /// `$disconnect` events that were dropped on demand.
    pub lost_disconnects: u64,
    /// Requests to post a frame, with any answer.
    pub posts: u64,
    /// Posted frames that were passed to their connection.
    pub delivered_posts: u64,
    /// Requests to post a frame that were refused because of a rate.
    pub throttled: u64,
    /// Requests to close a connection, with any answer.
    pub deletes: u64,
}
