//! An API Gateway for WebSocket APIs, in this process and on loopback. It has the limits of AWS, counters and faults.
//!
//! ```text
//! websocket_gateway   the handle that tests hold
//! server              TCP and HTTP/1.1: one task for each connection
//!   handshake           a client that connects: `$connect`, then the WebSocket upgrade
//!     socket              an open WebSocket: messages, limits and the end
//!       ending              the reasons why a WebSocket ends
//!   management          the requests of the function: `@connections`
//! event, invocation   the events, and the answers of the function
//! shared              the state that all connections share
//!   connection, clock, counters, rate_limit, tasks
//! options, response, spelling   the options, and the contents of responses and events
//! ```
//!
//! These details are copied from AWS. Nothing can be posted to a connection before `$connect` has returned. The
//! messages of one connection are handled in parallel. An invocation continues after its time limit and after the end
//! of its connection. `DeleteConnection` closes with code 1000, and both time limits close with 1001.
//!
//! One detail is stricter than AWS. If the answer to a message has a status of 400 or more, the client gets an error
//! frame. AWS ignores this status and sends the body, so the mistake would not be noticed.

mod clock;
mod connection;
mod counters;
mod ending;
mod event;
mod handshake;
mod invocation;
mod management;
mod options;
mod rate_limit;
mod response;
mod server;
mod shared;
mod socket;
mod spelling;
mod tasks;
mod websocket_gateway;

pub use self::{
    counters::GatewayCounters, options::GatewayOptions, rate_limit::RateLimit,
    websocket_gateway::WebSocketGateway,
};
pub use crate::invoke::Invoke;
