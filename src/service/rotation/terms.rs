//! The terms that all runs of rotations share.

use std::sync::Arc;
use std::time::Duration;

use super::lease::LeaseStore;
use crate::base::clock::Clock;
use crate::base::random::Random;

/// The dependencies and time limits of all rotations.
pub struct RotationTerms {
    /// The store of the leases.
    pub leases: Box<dyn LeaseStore>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The time for which a token may still be in use after its replacement.
    pub drain: Duration,
    /// The maximum time of the home's part in a step.
    pub step_limit: Duration,
    /// The generator of run ids and of the numbers in token names.
    pub random: Random,
}
