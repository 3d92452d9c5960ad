//! Token buckets, each stored as the time at which it will be full again.

use std::num::NonZeroUsize;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::base::config::Rate;

/// The number of buckets that an execution environment keeps. A bucket that was evicted counts as full.
pub(super) const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// The error of a bucket with too few tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The time until the bucket has enough tokens.
    pub wait: Duration,
}

/// The id of a caller's bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketId(pub(super) String);

impl BucketId {
    /// Returns the id of the bucket of a caller. It is a hash, so that it does not reveal the subject.
    pub fn new(tenant: Option<&str>, subject: &str) -> Self {
        let mut hash = Sha256::new();
        // The name of a home never contains a NUL, so the boundary is unambiguous.
        hash.update(tenant.unwrap_or_default());
        hash.update([0]);
        hash.update(subject);
        Self(hex::encode(hash.finalize()))
    }

    /// Returns the id of the bucket of a source address.
    pub fn of_address(address: &str) -> Self {
        Self::of_kind("address", address)
    }

    /// Returns the id of the bucket of a WebSocket connection.
    pub fn of_connection(id: &str) -> Self {
        Self::of_kind("connection", id)
    }

    /// Returns the id of a bucket that is not a caller's. The hashed text of a caller contains a NUL, so the ids of
    /// different kinds are different.
    fn of_kind(kind: &str, name: &str) -> Self {
        let name = name.replace('\0', "");
        Self(hex::encode(Sha256::digest(format!("{kind} {name}"))))
    }
}

/// Returns the time at which a bucket will be full again after `count` tokens are taken. If no tokens were taken, the
/// bucket would be full at `full_at`. All times are since the Unix epoch.
pub(super) fn after_taking(
    full_at: Duration,
    now: Duration,
    rate: Rate,
    count: u32,
) -> Result<Duration, Exhausted> {
    let empty = now + rate.interval * rate.burst;
    // `full_at` can be later than `empty`: the caller's plan has changed, or the clock was set back.
    let then = full_at.clamp(now, empty) + rate.interval * count;
    let wait = then.saturating_sub(empty);
    if wait.is_zero() {
        Ok(then)
    } else {
        Err(Exhausted { wait })
    }
}

/// Returns the number of tokens that an execution environment draws at a time.
pub(super) fn portion(rate: Rate) -> u32 {
    (rate.burst / 10).max(1)
}
