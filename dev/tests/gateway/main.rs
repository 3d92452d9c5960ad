//! The gateway over real sockets: each of its limits has its value in AWS.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed call must fail the test"
)]

mod client;
mod connect;
mod endings;
mod limits;
mod management;
mod messages;
