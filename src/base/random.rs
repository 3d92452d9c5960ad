//! Randomness, passed in like time: one generator for the whole process.

use std::sync::Arc;

use crate::base::lock::Lock;

/// A handle to the process's generator. All clones draw from the same sequence.
///
/// After a restore from a snapshot every process has a copy of the same state. One call of [`Random::reseed`] then
/// makes all later draws the process's own, whoever makes them.
#[derive(Clone, Debug)]
pub struct Random(Arc<Lock<fastrand::Rng>>);

impl Random {
    /// A generator that starts from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Lock::new(fastrand::Rng::with_seed(seed))))
    }

    /// Starts the sequence anew from `seed`, for every handle.
    pub fn reseed(&self, seed: u64) {
        *self.0.lock() = fastrand::Rng::with_seed(seed);
    }

    /// The next 32 bits.
    pub fn u32(&self) -> u32 {
        self.0.lock().u32(..)
    }

    /// The next 64 bits.
    pub fn u64(&self) -> u64 {
        self.0.lock().u64(..)
    }

    /// The next number from 0 up to, but not including, 1.
    pub fn f64(&self) -> f64 {
        self.0.lock().f64()
    }

    /// A name that no other draw has: 128 bits as 32 hexadecimal digits.
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
