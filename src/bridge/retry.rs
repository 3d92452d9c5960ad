//! How long to wait between attempts.

use std::time::Duration;

use backon::BackoffBuilder as _;

/// How failed connections are tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The first delay; each further one is twice as long.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
    /// How many attempts there are in all.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_with_jitter_and_end() {
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
