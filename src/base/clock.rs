//! The clock of the crate. Callers pass a clock in, and no other module reads the time.
//!
//! Lambda may freeze an execution environment between invocations; the monotonic clock keeps running during that time.
//! Lambda may also restore an execution environment from a snapshot; the monotonic clock may have stood still since the
//! snapshot. A [`Timestamp`] therefore carries both clocks, and an age is the larger of the two differences.

use std::time::Duration;

use crate::base::lock::Lock;

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time on both clocks.
    fn now(&self) -> Timestamp;
}

/// A point in time on the monotonic clock and on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// The time since an arbitrary start in this process.
    pub monotonic: Duration,
    /// The time since the Unix epoch.
    pub unix: Duration,
}

impl Timestamp {
    /// Returns the time since `earlier`: the larger difference of the two clocks, or zero if `earlier` is in the future
    /// on both clocks.
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        monotonic.max(self.unix.saturating_sub(earlier.unix))
    }

    /// Returns the timestamp that is `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self {
            monotonic: self.monotonic.saturating_add(duration),
            unix: self.unix.saturating_add(duration),
        }
    }
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// Creates a clock whose monotonic time starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads the time"
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
        reason = "the only place that reads the time"
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

/// A clock that stands still until it is advanced.
#[derive(Debug)]
pub struct ManualClock(Lock<Timestamp>);

impl ManualClock {
    /// Creates a clock that shows `unix` since the Unix epoch.
    pub fn at(unix: Duration) -> Self {
        Self(Lock::new(Timestamp {
            monotonic: Duration::ZERO,
            unix,
        }))
    }

    /// Advances both clocks.
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

/// The time by which an invocation must be answered.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Timestamp,
}

/// The time limit of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The time that the stage may take.
    pub duration: Duration,
    /// True if the invocation's deadline leaves less time than the stage's own timeout.
    pub cut: bool,
}

impl Deadline {
    /// Creates a deadline at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self { at }
    }

    /// Returns a deadline that is earlier by `margin`.
    #[must_use]
    pub fn before(self, margin: Duration) -> Self {
        Self {
            at: Timestamp {
                monotonic: self.at.monotonic.saturating_sub(margin),
                unix: self.at.unix.saturating_sub(margin),
            },
        }
    }

    /// Returns the earlier of this deadline and `other`.
    #[must_use]
    pub fn min(self, other: Timestamp) -> Self {
        if other.unix < self.at.unix {
            Self { at: other }
        } else {
            self
        }
    }

    /// Returns the time left until the deadline, or zero after the deadline.
    pub fn remaining(&self, now: Timestamp) -> Duration {
        self.at.unix.saturating_sub(now.unix)
    }

    /// Returns the limit of a stage: `timeout`, or the time left until the deadline if that time is shorter.
    pub fn limit(&self, timeout: Duration, now: Timestamp) -> Limit {
        let remaining = self.remaining(now);
        Limit {
            duration: timeout.min(remaining),
            cut: remaining < timeout,
        }
    }
}

/// Converts a duration to days.
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
    fn age_is_the_larger_difference_of_both_clocks() {
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
    fn deadline_shortens_stage_limit_and_marks_it_as_cut() {
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
