//! The simulated home over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may end in a panic"
)]

mod access;
mod client;
mod commands;
mod rest_faults;
mod socket_faults;
