//! What every run of a rotation needs.

use std::sync::Arc;
use std::time::Duration;

use super::lease::LeaseStore;
use crate::base::clock::Clock;
use crate::base::random::Random;

/// The terms of all rotations.
pub struct RotationTerms {
    /// Where runs take their leases.
    pub leases: Box<dyn LeaseStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For how long after its replacement a token may still be in use somewhere.
    pub drain: Duration,
    /// The longest time that the home's part in a step takes.
    pub step_limit: Duration,
    /// The randomness of run ids.
    pub random: Random,
}
