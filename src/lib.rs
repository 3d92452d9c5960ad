//! latchkey: reach Home Assistant from the cloud without handing its token around.
//!
//! The crate has four floors. Each floor knows only the floors below it. [`composition`] alone knows them all.
//!
//! | floor | what it holds |
//! |---|---|
//! | [`doors`] | how events come in and answers go out |
//! | [`service`] | what is done, and for whom |
//! | [`home`] | one home: its settings, token, session and REST client |
//! | [`base`] | what everything else stands on: time, randomness, secrets, settings, metrics |
//!
//! A request goes down from `doors` to `home`. Its outcome comes back up, and `doors` renders it.
//! `tests/architecture.rs` checks these rules.

pub mod base;
pub mod composition;
pub mod doors;
pub mod home;
pub mod service;

pub use base::json::{JsonError, MemberError};
