//! Answers: what the caller is told of each outcome and each failure.
//!
//! [`Problem::of`] is THE table from failure to problem; [`CommandsReply`], [`KeepWarmReply`] and [`RotationReply`] are what comes of success.

mod alexa;
mod failure;
mod health;
mod problem;
mod problem_name;
mod results;
mod rotation;
mod warmth;

pub use alexa::{AlexaReply, ErrorResponse};
pub use failure::Failure;
pub use health::HealthReply;
pub use problem::{Document, Problem};
pub use problem_name::ProblemName;
pub use results::CommandsReply;
pub use rotation::RotationReply;
pub use warmth::KeepWarmReply;
