//! The expiry of tokens, as Home Assistant checks it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seconds past `exp` during which a token is still valid. Home Assistant passes this leeway to PyJWT.
const LEEWAY_SECONDS: u64 = 10;

/// Returns true if a token with this `exp`, in seconds since 1970, is no longer valid.
pub(crate) fn has_expired(exp: u64) -> bool {
    unix_now() > exp.saturating_add(LEEWAY_SECONDS)
}

/// Returns the seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}
