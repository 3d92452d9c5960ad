//! Decides whether an open connection may be used again.
//!
//! A home pings 55 s after the last message from its peer and closes the connection after 83 s. A frozen execution
//! environment answers no pings, and after the thaw it finds the ping in its receive buffer. The decision therefore
//! depends on the kind of the last message:
//!
//! | action | condition |
//! |---|---|
//! | use the connection at once | the home answered one of our messages less than [`FRESH`] ago |
//! | use it after a ping, answered within [`PING_TIMEOUT`] | the last message arrived less than [`STALE`] ago |
//! | open a new connection | otherwise, or the connection is closed |

use std::time::Duration;

use super::connection::Heard;
use crate::base::clock::Timestamp;

/// The age of the last answer up to which a connection is used without a ping.
pub const FRESH: Duration = Duration::from_secs(15);
/// The age of the last message from which a connection is discarded without a ping. The home closes a connection after
/// 83 s.
pub const STALE: Duration = Duration::from_secs(75);
/// The timeout of a ping.
pub const PING_TIMEOUT: Duration = Duration::from_millis(1_000);
/// The action for an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use the connection.
    Fresh,
    /// Send a ping first.
    Doubtful,
    /// Discard the connection.
    Stale,
}

/// Applies the rules of this module's table.
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
    fn freshness_follows_the_homes_ping_interval() {
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
        // After a thaw with a ping in the buffer, a message was read just now, but it proves nothing.
        assert_eq!(after(600, 0), Freshness::Doubtful);
    }
}
