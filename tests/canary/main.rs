//! The token shows up nowhere: every path is taken at the most talkative log level with tokens that can be recognised,
//! and everything that comes out is searched for any twelve characters in a row of theirs.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/callers.rs"]
mod callers;
#[path = "../lambda/app.rs"]
mod in_process;
#[path = "../lambda/mod.rs"]
mod lambda;

mod callers_tokens;
mod debug;
mod faults;
mod function;
mod misplaced;
mod search;
mod several;
mod upkeep;
