//! Answers: what the caller is told of each outcome and each failure.
//!
//! [`Problem::of`] is THE table from failure to problem; [`CommandsReply`], [`KeepWarmReply`] and [`RotationReply`]
//! are what comes of success.

mod brief;
mod commands;
mod health;
mod problem;
mod report;
mod rotation;
mod size;
mod timestamp;
mod warmth;

pub use commands::CommandsReply;
pub use health::{HealthReply, HealthSummary};
pub use problem::{Document, Problem};
pub(crate) use report::report;
pub use rotation::RotationReply;
pub(crate) use size::{MAX_REPLY_BYTES, ROOM_FOR_THE_REST};
pub use warmth::KeepWarmReply;
