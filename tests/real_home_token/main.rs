//! The token's life over a real Home Assistant and an emulated AWS: many sandboxes with one token cost at most one
//! failed login, and Parameter Store may fail in every way at every point.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/callers.rs"]
mod callers;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/mod.rs"]
mod lambda;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../token_life/sandbox.rs"]
mod sandbox;

mod cell;
mod crowd;
mod errors;
mod failing_source;
mod storm;
