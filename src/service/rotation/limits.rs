//! How long the parts of a rotation may take.

use std::time::Duration;

/// What no step takes longer than, beside the home's part in it: a call of Parameter Store, tried again and again.
pub(super) const STORE_LIMIT: Duration = Duration::from_secs(5);

/// How long a minted token lasts.
pub(super) const LIFESPAN_DAYS: u32 = 365;

/// How long a store takes at most, which is tried once.
pub(super) const STORE_TIME: Duration = Duration::from_millis(2_500);

/// The longest that a run waits until the old token may be revoked, unless it was asked to: until then the old one is
/// the way back, and whoever pays for a function's time pays for its waiting.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(60);

/// What is kept of a run's time to give the lease back and to answer.
pub(super) const TIME_TO_END: Duration = Duration::from_secs(1);
