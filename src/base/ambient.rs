//! The clock, random source and metrics of a home, passed as one value.

use std::sync::Arc;

use super::clock::Clock;
use super::metrics::Meter;
use super::random::Random;

/// The clock, random source and metrics of a home.
#[derive(Clone)]
pub struct Ambient {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The random source of the process.
    pub random: Random,
    /// The metrics of one home.
    pub meter: Meter,
}
