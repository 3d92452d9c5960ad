//! Tests that run the crate in the test process, against simulated homes and an emulated AWS.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their shared helpers may panic"
)]

mod at_most_once;
mod concurrency;
mod connections;
mod door;
mod faults;
mod harness;
mod homes;
mod idempotency;
mod reuse;
mod rotation;
mod snapshot;
mod tls;
mod token_life;
mod waiting;
mod websocket;
