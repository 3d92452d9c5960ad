//! Answers: what the caller is told of each outcome and each failure.
//!
//! [`Problem::of`] is THE table from failure to problem; [`CommandsReply`], [`KeepWarmReply`] and [`RotationReply`]
//! are what comes of success.

mod alexa;
mod brief;
mod failure;
mod health;
mod problem;
mod problem_name;
mod results;
mod rotation;
mod warmth;

use std::time::Duration;

pub use alexa::{AlexaReply, ErrorResponse};
pub use failure::Failure;
pub use health::{HealthReply, HealthSummary};
pub use problem::{Document, Problem};
pub use problem_name::ProblemName;
pub use results::CommandsReply;
pub use rotation::RotationReply;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
pub use warmth::KeepWarmReply;

/// A time since the Unix epoch as people read it.
fn rfc3339(unix: Duration) -> String {
    let moment = OffsetDateTime::UNIX_EPOCH + unix;
    moment.format(&Rfc3339).unwrap_or_default()
}
