//! The simulated home over TCP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a call that fails fails the test"
)]

mod access;
mod client;
mod commands;
mod rest_faults;
mod socket_faults;
