//! What every part of a home needs from its surroundings, passed as one value.

use std::sync::Arc;

use super::clock::Clock;
use super::metrics::Meter;
use super::random::Random;

/// Time, randomness and metrics.
#[derive(Clone)]
pub struct Ambient {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The process's randomness.
    pub random: Random,
    /// The metrics of one home.
    pub meter: Meter,
}
