//! # When an open connection is used again
//!
//! A home pings 55 s after it last heard from its peer and hangs up at 83 s; a frozen sandbox answers no pings, and
//! after the thaw finds the ping in its receive buffer. So it matters what was heard:
//!
//! | then | if |
//! |---|---|
//! | it is used at once | the home answered something less than [`FRESH`] ago |
//! | it is used after one ping, answered within [`PING_TIMEOUT`] | the home was heard less than [`STALE`] ago |
//! | a new one is opened | neither, or it is closed |

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::home::home_assistant::connection::Heard;

/// Up to this age a connection is used without asking.
pub const FRESH: Duration = Duration::from_secs(15);
/// From this age on a connection is given up without asking; the home hangs up at 83 s.
pub const STALE: Duration = Duration::from_secs(75);
/// How long a ping may take.
pub const PING_TIMEOUT: Duration = Duration::from_millis(1_000);
/// What to do with an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Ping first.
    Doubtful,
    /// Give it up.
    Stale,
}

/// The rule of this module's table.
pub fn freshness(heard: Heard, now: Timestamp) -> Freshness {
    if now.since(heard.answered) < FRESH {
        Freshness::Fresh
    } else if now.since(heard.last) < STALE {
        Freshness::Doubtful
    } else {
        Freshness::Stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_follows_the_homes_heartbeat() {
        let at = |seconds: u64| Timestamp {
            monotonic: Duration::from_secs(seconds),
            unix: Duration::from_secs(seconds),
        };
        let after = |answered: u64, heard: u64| {
            let heard = Heard {
                last: at(1_000 - heard),
                answered: at(1_000 - answered),
                replied: None,
            };
            freshness(heard, at(1_000))
        };
        assert_eq!(after(0, 0), Freshness::Fresh);
        assert_eq!(after(14, 14), Freshness::Fresh);
        assert_eq!(after(15, 15), Freshness::Doubtful);
        assert_eq!(after(74, 74), Freshness::Doubtful);
        assert_eq!(after(75, 75), Freshness::Stale);
        // Thawed, with a ping in the buffer: heard just now, and yet no proof.
        assert_eq!(after(600, 0), Freshness::Doubtful);
    }
}
