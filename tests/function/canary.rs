//! The token shows up nowhere: every path is taken at the most talkative log level with tokens that can be recognised,
//! and everything that comes out is searched for any twelve characters in a row of theirs.

mod callers_tokens;
mod debug;
mod faults;
mod function;
mod misplaced;
mod search;
mod several;
mod upkeep;
