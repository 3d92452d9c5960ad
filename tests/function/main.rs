//! Tests of the built executable.
//!
//! The executable runs under Lambda's emulator. An emulated AWS stores its token, and its home is simulated. The tests
//! send bad input, set bad configurations and make AWS fail. They check the answers, the output and the metrics.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers may panic"
)]

mod cache;
mod canary;
mod configuration;
mod events;
mod expiry;
mod frozen;
mod homes;
mod idempotency;
mod input;
mod logs;
mod memory;
mod metrics;
mod parameter_store;
mod settings;

/// The path of the executable of this build.
const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");
