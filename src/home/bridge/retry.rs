//! The delays between attempts.

use std::time::Duration;

use backon::BackoffBuilder as _;

use crate::base::clock::{Deadline, Timestamp};
use crate::home::home_assistant::HomeError;

/// The time limit of a run whose attempts fail because the home refuses connections or its name does not resolve. The
/// caller gets the error within 5 s and can decide to retry. A home that restarts may be reachable again by then.
const REFUSAL_LIMIT: Duration = Duration::from_millis(4_500);

/// The retry policy for failed connections.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The first delay. Each further delay is twice as long.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
    /// The total number of attempts; 0 and 1 both mean one attempt.
    pub attempts: usize,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            attempts: 5,
        }
    }
}

impl Retry {
    pub(super) fn delays(self, seed: u64) -> impl Iterator<Item = Duration> {
        backon::ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }
}

/// The delays between the attempts of one run.
pub(super) struct Waits<I> {
    delays: I,
    started: Timestamp,
    /// The sum of the past delays. The sum also limits a run whose clock does not advance.
    waited: Duration,
}

impl<I: Iterator<Item = Duration>> Waits<I> {
    pub(super) fn new(delays: I, started: Timestamp) -> Self {
        Self {
            delays,
            started,
            waited: Duration::ZERO,
        }
    }

    /// Returns the delay after an attempt that started at `began` and failed. `None` if the run must end.
    pub(super) fn next(
        &mut self,
        error: &HomeError,
        began: Timestamp,
        now: Timestamp,
        deadline: Deadline,
    ) -> Option<Duration> {
        let delay = self.delays.next()?;
        if delay >= deadline.remaining(now) {
            return None;
        }
        // The estimate assumes that the next attempt takes as long as this attempt.
        let next_end = now.since(self.started).max(self.waited) + delay + now.since(began);
        if error.is_refusal() && next_end > REFUSAL_LIMIT {
            return None;
        }
        self.waited += delay;
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::home_assistant::Stage;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(elapsed: Duration) -> Timestamp {
        Timestamp {
            monotonic: MINUTE + elapsed,
            unix: MINUTE + elapsed,
        }
    }

    fn refused() -> HomeError {
        HomeError::Unreachable {
            stage: Stage::Tcp,
            reason: "connection refused".into(),
            refused: true,
        }
    }

    /// Runs attempts that all fail with `error` after `lasts`. Returns the number of attempts and the total time.
    fn run(error: &HomeError, lasts: Duration, retry: Retry, seed: u64) -> (usize, Duration) {
        let mut waits = Waits::new(retry.delays(seed), at(Duration::ZERO));
        let deadline = Deadline::at(at(MINUTE * 60));
        let (mut attempts, mut elapsed) = (0, Duration::ZERO);
        loop {
            let began = at(elapsed);
            attempts += 1;
            elapsed += lasts;
            match waits.next(error, began, at(elapsed), deadline) {
                Some(delay) => elapsed += delay,
                None => return (attempts, elapsed),
            }
        }
    }

    #[test]
    fn refused_run_ends_within_5_s() {
        for base in [100, 1_000, 60_000] {
            let retry = Retry {
                base: Duration::from_millis(base),
                attempts: 10,
                ..Retry::default()
            };
            for (seed, lasts) in (0..200).zip([0, 1, 30, 700, 1_400, 2_400].into_iter().cycle()) {
                let lasts = Duration::from_millis(lasts);
                for error in [refused(), HomeError::Dns] {
                    let (attempts, elapsed) = run(&error, lasts, retry, seed);
                    assert!(
                        elapsed < Duration::from_secs(5),
                        "{base} {seed} {elapsed:?}"
                    );
                    let retries = base < 60_000 && lasts < Duration::from_secs(1);
                    assert!(!retries || attempts > 1, "{base} {seed} {lasts:?}");
                }
            }
        }
    }

    #[test]
    fn other_failures_use_the_configured_attempts() {
        for error in [
            HomeError::Starting,
            HomeError::Timeout { stage: Stage::Tcp },
            HomeError::Unreachable {
                stage: Stage::Upgrade,
                reason: "connection reset".into(),
                refused: false,
            },
        ] {
            let (attempts, _) = run(&error, Duration::from_secs(5), Retry::default(), 1);
            assert_eq!(attempts, 5, "{error}");
        }
    }

    #[test]
    fn attempts_of_0_and_1_mean_one_attempt() {
        for attempts in [0, 1] {
            let retry = Retry {
                attempts,
                ..Retry::default()
            };
            let (attempts, _) = run(&HomeError::Starting, Duration::ZERO, retry, 1);
            assert_eq!(attempts, 1);
        }
    }

    #[test]
    fn stopped_clock_does_not_extend_a_run() {
        let retry = Retry {
            attempts: 10,
            ..Retry::default()
        };
        let now = at(Duration::ZERO);
        let mut waits = Waits::new(retry.delays(1), now);
        let mut waited = Duration::ZERO;
        while let Some(delay) = waits.next(&refused(), now, now, Deadline::at(at(MINUTE))) {
            waited += delay;
        }
        assert!(
            waited > Duration::ZERO && waited <= REFUSAL_LIMIT,
            "{waited:?}"
        );
    }

    #[test]
    fn delays_double_with_jitter_up_to_the_cap() {
        let retry = Retry {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(3),
            attempts: 5,
        };
        let delays: Vec<Duration> = retry.delays(1).collect();
        assert_eq!(delays.len(), 4);
        for (delay, floor) in delays.iter().zip([1, 2, 3, 3]) {
            let floor = Duration::from_secs(floor);
            assert!(*delay >= floor && *delay <= floor * 2, "{delays:?}");
        }
        assert_ne!(delays, retry.delays(2).collect::<Vec<_>>());
    }
}
