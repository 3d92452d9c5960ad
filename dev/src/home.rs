//! A simulated home: the part of Home Assistant's REST and WebSocket APIs that latchkey uses. The home counts what it
//! receives, and faults can be armed while the home runs.
//!
//! ```text
//! simulated_home   the handle that tests hold
//! server           TCP, TLS and HTTP/1.1: one task for each connection
//!   router         one HTTP request: WebSocket upgrade, fault or REST
//!     upgrade        the WebSocket upgrade and its faults
//!     rest           the REST routes
//!     rest_fault     responses that a fault sends in place of a route's response
//!   socket         a WebSocket: authentication, then commands
//!     session        an authenticated client and its commands
//!     peer           sends and receives messages, intact or as a fault demands
//! connection, wire   a connection and its byte stream
//! shared             the state and the faults that all connections share
//!   token, ban, entity, service, counters, fault
//! response, reply, configuration, context    the contents of responses and messages
//! ```
//!
//! The home copies these details of Home Assistant's source. A wrong token counts as a failed login, over REST and over
//! the WebSocket. A malformed `auth` message gets `auth_invalid`, but is not a failed login. A login over the WebSocket
//! resets the count of failed logins; a REST request does not.

mod ban;
mod configuration;
mod connection;
mod context;
mod counters;
mod entity;
mod fault;
mod options;
mod peer;
mod reply;
mod response;
mod rest;
mod rest_fault;
mod router;
mod server;
mod service;
mod session;
mod shared;
mod simulated_home;
mod socket;
mod token;
mod upgrade;
mod wire;

pub use self::{
    counters::{Counters, ServiceCall},
    fault::{Break, ConnectionFault, Fault, Junk, Refusal, RestFault, SocketFault, SocketStage},
    options::HomeOptions,
    simulated_home::SimulatedHome,
    token::HomeToken,
};
