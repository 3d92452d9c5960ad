//! Time as the rest of the crate sees it: passed in, never taken.
//!
//! A sandbox may be frozen between invocations (the monotonic clock keeps running) or restored from a snapshot (it may
//! have stood still), so a [`Timestamp`] carries both clocks and an age is the larger of the two differences.

use std::time::Duration;

use crate::base::lock::Lock;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present moment on both clocks.
    fn now(&self) -> Timestamp;
}

/// A moment on the monotonic and on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Since an arbitrary start in this process.
    pub monotonic: Duration,
    /// Since the Unix epoch.
    pub unix: Duration,
}

impl Timestamp {
    /// How long ago `earlier` was, by whichever clock saw more time pass; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.unix.saturating_sub(earlier.unix))
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self {
            monotonic: self.monotonic.saturating_add(duration),
            unix: self.unix.saturating_add(duration),
        }
    }
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic side starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that takes the time"
    )]
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that takes the time"
    )]
    fn now(&self) -> Timestamp {
        Timestamp {
            monotonic: self.start.elapsed(),
            unix: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(Lock<Timestamp>);

impl ManualClock {
    /// A clock that shows `unix` since the epoch.
    pub fn at(unix: Duration) -> Self {
        Self(Lock::new(Timestamp {
            monotonic: Duration::ZERO,
            unix,
        }))
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        *now = now.after(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// When an invocation must have been answered.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Timestamp,
}

/// How long one stage may take, and whether the deadline cut it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The time the stage has.
    pub duration: Duration,
    /// Whether the invocation's deadline left less than the stage's own timeout.
    pub cut: bool,
}

impl Deadline {
    /// A deadline at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self { at }
    }

    /// A deadline this much earlier.
    #[must_use]
    pub fn before(self, margin: Duration) -> Self {
        Self {
            at: Timestamp {
                monotonic: self.at.monotonic.saturating_sub(margin),
                unix: self.at.unix.saturating_sub(margin),
            },
        }
    }

    /// This deadline, or one at `other` if that is earlier.
    #[must_use]
    pub fn min(self, other: Timestamp) -> Self {
        if other.unix < self.at.unix {
            Self { at: other }
        } else {
            self
        }
    }

    /// The time left; zero once it has passed.
    pub fn remaining(&self, now: Timestamp) -> Duration {
        self.at.unix.saturating_sub(now.unix)
    }

    /// `timeout`, or what is left of the invocation if that is less.
    pub fn limit(&self, timeout: Duration, now: Timestamp) -> Limit {
        let remaining = self.remaining(now);
        Limit {
            duration: timeout.min(remaining),
            cut: remaining < timeout,
        }
    }
}

/// A time in days, as reports give it.
pub fn days(duration: Duration) -> f64 {
    duration.as_secs_f64() / 86_400.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn moment(monotonic: u64, unix: u64) -> Timestamp {
        Timestamp {
            monotonic: Duration::from_secs(monotonic),
            unix: Duration::from_secs(unix),
        }
    }

    #[test]
    fn age_is_the_larger_of_both_clocks() {
        // A restored snapshot: the monotonic clock stood still.
        assert_eq!(
            moment(10, 5_000).since(moment(10, 1_000)),
            Duration::from_secs(4_000)
        );
        // The wall clock was set back.
        assert_eq!(
            moment(70, 900).since(moment(10, 1_000)),
            Duration::from_secs(60)
        );
        assert_eq!(moment(10, 1_000).since(moment(70, 1_060)), Duration::ZERO);
    }

    #[test]
    fn a_deadline_cuts_a_stage_and_says_so() {
        let deadline = Deadline::at(moment(0, 10));
        let limit = deadline.limit(Duration::from_secs(3), moment(0, 5));
        assert_eq!(
            limit,
            Limit {
                duration: Duration::from_secs(3),
                cut: false
            }
        );
        let limit = deadline.limit(Duration::from_secs(3), moment(0, 8));
        assert_eq!(
            limit,
            Limit {
                duration: Duration::from_secs(2),
                cut: true
            }
        );
        assert_eq!(deadline.remaining(moment(0, 11)), Duration::ZERO);
    }
}
