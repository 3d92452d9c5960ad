//! Replies: the rendering of outcomes and failures for the caller.
//!
//! [`Problem::of`] is the only table from failures to problems. [`CommandsReply`], [`KeepWarmReply`] and
//! [`RotationReply`] render successful outcomes.

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
pub(crate) use timestamp::rfc3339;
pub use warmth::KeepWarmReply;
