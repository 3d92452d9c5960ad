//! latchkey lets callers reach Home Assistant from the cloud without its token.
//!
//! The crate has four floors. Each floor uses only the floors below it. Only [`composition`] uses all of them.
//!
//! | floor | content |
//! |---|---|
//! | [`doors`] | receive events and render replies |
//! | [`service`] | the use cases, with authentication, permissions and limits |
//! | [`home`] | one home: its settings, token, session and REST client |
//! | [`base`] | the foundation: clock, randomness, secrets, settings, metrics |
//!
//! A request goes down from `doors` to `home`. Its outcome comes back up, and `doors` renders it.
//! `tests/project/architecture.rs` checks these rules.

pub mod base;
pub mod composition;
pub mod doors;
pub mod home;
pub mod service;

pub use base::json::{JsonError, MemberError};
