//! A circuit breaker: while a home is down, callers are told so at once instead of waiting for it in vain.
//!
//! A pure structure, with the time passed in.

use std::time::Duration;

use crate::base::clock::Timestamp;

/// How many runs in a row must fail before it opens. One may be an accident, and a home that restarts is back soon.
const FAILURES: u32 = 3;

/// How long it stays open before one run may try again.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// What the end of a run says of the home.
#[derive(Clone, Debug)]
pub(super) enum News<E> {
    /// It answered, well or not.
    Up,
    /// It is down; this is how that showed.
    Down(E),
    /// Nothing: the run ended for reasons of its own.
    None,
}

/// Whether runs are let through.
#[derive(Clone, Debug)]
pub(super) enum Breaker<E> {
    /// They are, after so many failures in a row.
    Closed { failures: u32 },
    /// They are not; this is why.
    Open { since: Timestamp, error: E },
    /// One is, to probe; the others are not.
    HalfOpen { since: Timestamp, error: E },
}

impl<E> Default for Breaker<E> {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl<E: Clone> Breaker<E> {
    /// Whether a run may begin now, and whether it is the probe. `Err` is the failure that opened the breaker.
    pub(super) fn admit(&mut self, now: Timestamp) -> Result<bool, E> {
        match self {
            Self::Closed { .. } => Ok(false),
            // A probe that never reported back (its invocation was killed) must not keep the breaker open for good.
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

    /// Reports how a run ended.
    pub(super) fn report(&mut self, news: News<E>, now: Timestamp) {
        match (&*self, news) {
            (_, News::Up) => *self = Self::default(),
            (Self::Closed { failures }, News::Down(_)) if failures + 1 < FAILURES => {
                *self = Self::Closed {
                    failures: failures + 1,
                };
            }
            (_, News::Down(error)) => *self = Self::Open { since: now, error },
            // The probe learned nothing: the next may try when the time has come again.
            (Self::HalfOpen { error, .. }, News::None) => {
                *self = Self::Open {
                    since: now,
                    error: error.clone(),
                };
            }
            (Self::Closed { .. } | Self::Open { .. }, News::None) => {}
        }
    }

    /// Its state's word in reports.
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
    fn opens_after_failures_in_a_row_and_not_before() {
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
    fn one_probe_decides() {
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
    fn no_news_changes_nothing_but_a_probe() {
        let mut breaker = Breaker::default();
        breaker.report(News::Down("down"), at(0));
        breaker.report(News::Down("down"), at(0));
        breaker.report(News::None, at(0));
        breaker.report(News::Down("down"), at(0));
        assert_eq!(breaker.name(), "open");
        assert_eq!(breaker.admit(at(10)), Ok(true));
        breaker.report(News::None, at(11));
        assert_eq!(breaker.admit(at(12)), Err("down"));
    }

    #[test]
    fn a_probe_that_never_reports_does_not_keep_it_open() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(10)), Ok(true));
        assert_eq!(breaker.admit(at(20)), Ok(true));
    }
}
