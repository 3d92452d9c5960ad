//! Searches of all output for tokens.
//!
//! The tests take every path at the most verbose log level, with known tokens. Twelve consecutive characters of a token
//! in the output are a leak.

mod callers_tokens;
mod debug;
mod faults;
mod function;
mod misplaced;
mod search;
mod several;
mod upkeep;
