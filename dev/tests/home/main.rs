//! The simulated home over TCP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed call must fail the test"
)]

mod access;
mod client;
mod commands;
mod rest_faults;
mod socket_faults;
