//! What is done, and for whom.
//!
//! | module | what it is |
//! |---|---|
//! | [`app`] | everything an invocation can ask for |
//! | [`commands`] | the request to run commands, parsed and checked |
//! | [`access`] | callers: their identity and their permissions |
//! | [`failure`] | everything that can go wrong, and its stable name |
//! | [`rate_limit`] | how many requests a caller may send |
//! | [`idempotency`] | runs a repeated request only once |
//! | [`rotation`] | replaces a home's token and revokes the old one |

pub mod access;
pub mod app;
pub mod commands;
pub mod failure;
pub mod idempotency;
pub mod rate_limit;
pub mod rotation;
