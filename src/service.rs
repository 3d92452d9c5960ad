//! The services behind every entry point: access control, commands, rotation and limits.
//!
//! | module | contents |
//! |---|---|
//! | [`app`] | the operations that an invocation can request |
//! | [`commands`] | parses and checks requests to run commands |
//! | [`access`] | authenticates callers and checks their permissions |
//! | [`connections`] | callers' WebSocket connections |
//! | [`failure`] | the errors that can end an invocation, and their stable names |
//! | [`rate_limit`] | limits the number of requests per caller |
//! | [`idempotency`] | runs a repeated request only once |
//! | [`rotation`] | replaces a home's token and revokes the old one |

pub mod access;
pub mod app;
pub mod commands;
pub mod connections;
pub mod failure;
pub mod idempotency;
pub mod rate_limit;
pub mod rotation;
