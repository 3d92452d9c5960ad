//! The crate in the test's own process, over simulated homes and an emulated AWS.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

mod at_most_once;
mod concurrency;
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
