//! The function under Lambda's emulator, with its token in an emulated AWS and a simulated home: what it does with bad
//! input, bad configuration and a failing AWS, and what it prints and measures.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
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

/// The function's executable, as this build has made it.
const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");
