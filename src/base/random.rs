//! The random source: one generator for the whole process, passed in like the clock.

use std::sync::Arc;

use crate::base::lock::Lock;

/// A handle to the random generator of the process. All clones draw from the same sequence.
///
/// After a restore from a snapshot every process has a copy of the same generator state. One call of [`Random::reseed`]
/// starts a new sequence for all handles of the process.
#[derive(Clone, Debug)]
pub struct Random(Arc<Lock<fastrand::Rng>>);

impl Random {
    /// Creates a generator that starts from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Lock::new(fastrand::Rng::with_seed(seed))))
    }

    /// Restarts the sequence from `seed`, for every handle.
    pub fn reseed(&self, seed: u64) {
        *self.0.lock() = fastrand::Rng::with_seed(seed);
    }

    /// Returns the next 32 bits.
    pub fn u32(&self) -> u32 {
        self.0.lock().u32(..)
    }

    /// Returns the next 64 bits.
    pub fn u64(&self) -> u64 {
        self.0.lock().u64(..)
    }

    /// Returns the next number from 0 up to, but not including, 1.
    pub fn f64(&self) -> f64 {
        self.0.lock().f64()
    }

    /// Returns a unique identifier: 128 random bits as 32 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:032x}", self.0.lock().u128(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_share_one_sequence() {
        let (one, reference) = (Random::seeded(1), Random::seeded(1));
        let other = one.clone();
        assert_eq!(
            [one.u64(), other.u64(), one.u64()],
            [reference.u64(), reference.u64(), reference.u64()]
        );
        other.reseed(2);
        assert_eq!(one.id(), Random::seeded(2).id());
    }
}
