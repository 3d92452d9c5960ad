//! Time limits of a rotation.

use std::time::Duration;

/// The maximum time of a call to Parameter Store with its retries. A step takes at most this time plus the home's part.
pub(super) const STORE_LIMIT: Duration = Duration::from_secs(5);

/// The lifetime of a minted token, in days.
pub(super) const LIFESPAN_DAYS: u32 = 365;

/// The maximum time of the request that stores a token. It is not retried.
pub(super) const STORE_TIME: Duration = Duration::from_millis(2_500);

/// The maximum time that a run waits before it revokes the old token, unless the request asks for a longer wait. Until
/// the old token is revoked, it allows a rollback. Lambda bills the time that a run waits.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(60);

/// The part of a run's time that is reserved for releasing the lease and for the response.
pub(super) const TIME_TO_END: Duration = Duration::from_secs(1);
