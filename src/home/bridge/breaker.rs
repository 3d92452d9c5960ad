//! A circuit breaker: while a home is down, callers fail at once and do not wait for a timeout.
//!
//! The breaker is a pure data structure. Callers pass the time in.

use std::time::Duration;

use crate::base::clock::Timestamp;

/// The number of consecutive failed runs that opens the breaker. A single failure may be an accident, and a home that
/// restarts is soon reachable again.
const FAILURES: u32 = 3;

/// The time that the breaker stays open before it admits a probe.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// The information about the home that a finished run gives.
#[derive(Clone, Debug)]
pub(super) enum News<E> {
    /// The home answered, with success or an error.
    Up,
    /// The home is down, with the error that showed it.
    Down(E),
    /// The run ended for a reason that is not related to the home.
    Unrelated,
}

/// The state of the breaker.
#[derive(Clone, Debug)]
pub(super) enum Breaker<E> {
    /// All runs are admitted. `failures` is the number of consecutive failures.
    Closed { failures: u32 },
    /// No run is admitted. `error` is the failure that opened the breaker.
    Open { since: Timestamp, error: E },
    /// One run is admitted as a probe. The other runs fail with `error`.
    HalfOpen { since: Timestamp, error: E },
}

impl<E> Default for Breaker<E> {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl<E: Clone> Breaker<E> {
    /// Admits a run. Returns true if the run is a probe. `Err` is the failure that opened the breaker.
    pub(super) fn admit(&mut self, now: Timestamp) -> Result<bool, E> {
        match self {
            Self::Closed { .. } => Ok(false),
            // A probe never reports if its invocation is killed. Such a probe must not keep the breaker open forever.
            Self::Open { since, error } | Self::HalfOpen { since, error }
                if now.since(*since) >= COOL_DOWN =>
            {
                *self = Self::HalfOpen {
                    since: now,
                    error: error.clone(),
                };
                Ok(true)
            }
            Self::Open { error, .. } | Self::HalfOpen { error, .. } => Err(error.clone()),
        }
    }

    /// Updates the breaker after a run.
    pub(super) fn report(&mut self, news: News<E>, now: Timestamp) {
        match (&*self, news) {
            (_, News::Up) => *self = Self::default(),
            (Self::Closed { failures }, News::Down(_)) if failures + 1 < FAILURES => {
                *self = Self::Closed {
                    failures: failures + 1,
                };
            }
            (_, News::Down(error)) => *self = Self::Open { since: now, error },
            // The probe gave no information about the home. The next probe may start after the cool-down.
            (Self::HalfOpen { error, .. }, News::Unrelated) => {
                *self = Self::Open {
                    since: now,
                    error: error.clone(),
                };
            }
            (Self::Closed { .. } | Self::Open { .. }, News::Unrelated) => {}
        }
    }

    /// Returns the name of the state for reports.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp {
            monotonic: Duration::from_secs(seconds),
            unix: Duration::from_secs(seconds),
        }
    }

    fn opened() -> Breaker<&'static str> {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(at(0)), Ok(false));
            breaker.report(News::Down("down"), at(0));
        }
        breaker
    }

    #[test]
    fn breaker_opens_only_after_consecutive_failures() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.report(News::Down("down"), at(0));
            breaker.report(News::Down("down"), at(0));
            breaker.report(News::Up, at(0));
        }
        assert_eq!(breaker.admit(at(0)), Ok(false));
        assert_eq!(breaker.name(), "closed");
        assert_eq!(opened().admit(at(1)), Err("down"));
    }

    #[test]
    fn probe_result_opens_or_closes_the_breaker() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(9)), Err("down"));
        assert_eq!(breaker.admit(at(10)), Ok(true), "the probe");
        assert_eq!(breaker.name(), "half-open");
        assert_eq!(breaker.admit(at(10)), Err("down"), "only one");
        breaker.report(News::Down("still down"), at(11));
        assert_eq!(breaker.admit(at(12)), Err("still down"));
        assert_eq!(breaker.admit(at(21)), Ok(true));
        breaker.report(News::Up, at(22));
        assert_eq!(breaker.admit(at(22)), Ok(false));
        assert_eq!(breaker.name(), "closed");
    }

    #[test]
    fn unrelated_result_ends_a_probe_and_changes_nothing_else() {
        let mut breaker = Breaker::default();
        breaker.report(News::Down("down"), at(0));
        breaker.report(News::Down("down"), at(0));
        breaker.report(News::Unrelated, at(0));
        breaker.report(News::Down("down"), at(0));
        assert_eq!(breaker.name(), "open");
        assert_eq!(breaker.admit(at(10)), Ok(true));
        breaker.report(News::Unrelated, at(11));
        assert_eq!(breaker.admit(at(12)), Err("down"));
    }

    #[test]
    fn breaker_admits_a_new_probe_if_a_probe_never_reports() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(10)), Ok(true));
        assert_eq!(breaker.admit(at(20)), Ok(true));
    }
}
