//! The AWS emulator.

mod emulator;
mod fault;
mod metrics;
mod parameters;
mod queue;
mod table;

pub use self::{
    emulator::AwsEmulator,
    fault::Fault,
    metrics::{Metric, Point},
    parameters::StoredVersion,
};
