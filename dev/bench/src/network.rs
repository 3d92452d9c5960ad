//! The networks between a function and a home.

use std::time::Duration;

/// A network between a function and a home.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// The round trip to the home.
    pub(crate) round_trip: Duration,
    /// True if the home serves TLS.
    pub(crate) has_tls: bool,
}

impl Network {
    /// The home is on the same machine and does not serve TLS.
    pub(crate) const NEAR: Self = Self::plain(0);

    /// The networks on which requests are measured.
    pub(crate) const ALL: [Self; 7] = [
        Self::NEAR,
        Self::plain(5),
        Self::plain(20),
        Self::plain(80),
        Self::tls(5),
        Self::tls(20),
        Self::tls(80),
    ];

    /// A network with this round trip to a home without TLS.
    pub(crate) const fn plain(round_trip_ms: u64) -> Self {
        Self {
            round_trip: Duration::from_millis(round_trip_ms),
            has_tls: false,
        }
    }

    const fn tls(round_trip_ms: u64) -> Self {
        Self {
            has_tls: true,
            ..Self::plain(round_trip_ms)
        }
    }

    /// Returns the round trips that a connection needs until it can carry a request: one for TCP, and one for TLS 1.3.
    pub(crate) fn round_trips_to_connect(self) -> u32 {
        1 + u32::from(self.has_tls)
    }
}
