//! A TCP relay on loopback that simulates a network: it adds latency, breaks connections and counts bytes.
//!
//! The relay queues bytes with the time of their delivery. Bytes do not wait for one another, so latency does not
//! reduce throughput. On loopback, a connection is accepted at once; on a network, that takes one round trip. To
//! simulate this, the relay passes no bytes during the first round trip of a connection. So a connection and a request
//! together take two round trips, as on a network.

mod network;
mod pipe;
mod server;
mod timer;

pub use self::{
    network::{Direction, Ending, RelayCounters},
    server::{Relay, RelayOptions},
};
