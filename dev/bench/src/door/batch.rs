//! Batches of an operation that is too short to measure by itself.

use crate::figures::Sample;

/// The number of batches.
pub(super) const BATCHES: usize = 100;
/// The number of operations in a batch.
pub(super) const BATCH: u32 = 100;

/// Returns the median time of one operation in microseconds, from the times of batches.
pub(super) fn us_of_one(batches: &Sample) -> f64 {
    batches.p50_ms() * 1_000.0 / f64::from(BATCH)
}
