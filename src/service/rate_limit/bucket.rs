//! Token buckets, each kept as the time when it will be full again.

use std::num::NonZeroUsize;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::base::config::Rate;

/// How many callers a sandbox remembers; the bucket of one that was forgotten is full.
pub(super) const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// There is no room; there will be after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// How long it takes until as much can be taken.
    pub wait: Duration,
}

/// Whose bucket it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketId(pub(super) String);

impl BucketId {
    /// The bucket of a caller of a tenant.
    pub fn new(tenant: Option<&str>, subject: &str) -> Self {
        let mut hash = Sha256::new();
        // No name of a home holds this character.
        hash.update(tenant.unwrap_or_default());
        hash.update([0]);
        hash.update(subject);
        Self(hex::encode(hash.finalize()))
    }
}

/// When a bucket will be full again once `count` was taken from one that is full at `full_at`.
pub(super) fn after_taking(
    full_at: Duration,
    now: Duration,
    rate: Rate,
    count: u32,
) -> Result<Duration, Exhausted> {
    let empty = now + rate.interval * rate.burst;
    // No emptier than empty: it was another plan's, or the clock went back.
    let then = full_at.clamp(now, empty) + rate.interval * count;
    let wait = then.saturating_sub(empty);
    if wait.is_zero() {
        Ok(then)
    } else {
        Err(Exhausted { wait })
    }
}

/// How much of a bucket a sandbox draws at a time.
pub(super) fn portion(rate: Rate) -> u32 {
    (rate.burst / 10).max(1)
}
