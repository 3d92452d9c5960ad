//! Decides what a connection needs at a given time. A pure function.

use std::time::Duration;

use super::connection::Connection;
use crate::base::config::WebSocketConfig;

/// The longest time between two looks at a connection. A connection that ended without a notice keeps its row for at
/// most this long.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(300);

/// The need of a connection at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The connection is new and not authenticated. Tell the client that latchkey waits for its token.
    Greet {
        /// The time that is left for authentication.
        left: Duration,
    },
    /// The caller's token expires soon.
    Expiring {
        /// The time until the token expires.
        left: Duration,
    },
    /// The caller's token has expired, and the grace has begun.
    Expired,
    /// Nothing is due. Check that the connection still exists.
    Check,
    /// The connection must be closed: it did not authenticate in time.
    EndUnauthenticated,
    /// The connection must be closed: its caller's token has expired, and the grace has ended.
    EndExpired,
}

impl Look {
    /// Returns true if the connection must be closed.
    pub fn is_end(self) -> bool {
        matches!(self, Self::EndUnauthenticated | Self::EndExpired)
    }
}

/// Returns the need of a connection at `now`, and the time of the next look.
pub(super) fn look(
    connection: &Connection,
    config: &WebSocketConfig,
    now: Duration,
) -> (Look, Duration) {
    let check = now.saturating_add(CHECK_EVERY);
    let Some(identity) = &connection.identity else {
        let end = connection.connected_at + config.auth_limit;
        let left = end.saturating_sub(now);
        return match left.is_zero() {
            true => (Look::EndUnauthenticated, check),
            false => (Look::Greet { left }, end),
        };
    };
    let expiry = identity.expires_at;
    let warning = expiry.saturating_sub(config.warning);
    let end = expiry.saturating_add(config.grace);
    if now >= end {
        return (Look::EndExpired, check);
    }
    // A notice is due if its time lies between the last planned look and now.
    let is_due = |time: Duration| connection.due <= time && time <= now;
    let (look, next) = if now >= expiry {
        match is_due(expiry) {
            true => (Look::Expired, end),
            false => (Look::Check, end),
        }
    } else if now >= warning {
        let left = expiry.saturating_sub(now);
        match is_due(warning) {
            true => (Look::Expiring { left }, expiry),
            false => (Look::Check, expiry),
        }
    } else {
        (Look::Check, warning)
    };
    (look, next.min(check))
}

/// Returns the time of the first look at a connection after it was authenticated. `planned` is the time of the look
/// that is already planned.
pub(super) fn first_look(
    planned: Duration,
    expires_at: Duration,
    config: &WebSocketConfig,
) -> Duration {
    planned.min(expires_at.saturating_sub(config.warning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::service::connections::{Address, ConnectionId, Identity};

    const CONNECTED: Duration = Duration::from_secs(1_000_000);
    /// The caller's token expires one hour after the connection was opened.
    const EXPIRY: Duration = Duration::from_secs(1_003_600);

    fn config() -> WebSocketConfig {
        let variables = [("HA_URL", "http://ha:8123")];
        Config::read(&variables).unwrap().websocket
    }

    fn connection(due: Duration, is_authenticated: bool) -> Connection {
        let identity = Identity {
            subject: "anna".into(),
            tenant: None,
            permissions: Vec::new(),
            plan: None,
            expires_at: EXPIRY,
        };
        Connection {
            address: Address {
                id: ConnectionId("c".into()),
                endpoint: "https://api/prod".into(),
            },
            connected_at: CONNECTED,
            dialect: None,
            coalesces: false,
            identity: is_authenticated.then_some(identity),
            due,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silent_connection_is_greeted_and_ended_after_five_seconds() {
        let (config, silent) = (config(), connection(CONNECTED, false));
        let end = CONNECTED + seconds(5);
        assert_eq!(
            look(&silent, &config, CONNECTED),
            (Look::Greet { left: seconds(5) }, end)
        );
        let silent = connection(end, false);
        assert_eq!(look(&silent, &config, end).0, Look::EndUnauthenticated);
        assert_eq!(
            look(&silent, &config, end + seconds(999)).0,
            Look::EndUnauthenticated
        );
    }

    #[test]
    fn token_expiry_is_announced_twice_and_ends_the_connection() {
        let config = config();
        let mut due = first_look(CONNECTED, EXPIRY, &config);
        let mut notices = Vec::new();
        loop {
            let at = connection(due, true);
            let (found, next) = look(&at, &config, due);
            if found != Look::Check {
                notices.push((due, found));
            }
            if found.is_end() {
                break;
            }
            assert!(next > due && next - due <= CHECK_EVERY, "{due:?} {next:?}");
            due = next;
        }
        assert_eq!(
            notices,
            [
                (EXPIRY - seconds(60), Look::Expiring { left: seconds(60) }),
                (EXPIRY, Look::Expired),
                (EXPIRY + seconds(30), Look::EndExpired),
            ]
        );
    }

    #[test]
    fn late_look_gives_the_notice_that_matters_now() {
        let config = config();
        let planned = EXPIRY - seconds(60);
        for (now, expected) in [
            (EXPIRY - seconds(10), Look::Expiring { left: seconds(10) }),
            (EXPIRY + seconds(1), Look::Expired),
            (EXPIRY + seconds(31), Look::EndExpired),
        ] {
            assert_eq!(look(&connection(planned, true), &config, now).0, expected);
        }
        // The notice was given before, and the next planned look comes early.
        let again = connection(EXPIRY, true);
        assert_eq!(look(&again, &config, EXPIRY - seconds(5)).0, Look::Check);
    }

    #[test]
    fn token_without_an_end_is_only_checked() {
        let mut endless = connection(CONNECTED, true);
        if let Some(identity) = &mut endless.identity {
            identity.expires_at = Duration::MAX;
        }
        let now = CONNECTED + seconds(7);
        assert_eq!(
            look(&endless, &config(), now),
            (Look::Check, now + CHECK_EVERY)
        );
    }
}
