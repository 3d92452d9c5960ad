//! Rate limits: one token bucket per caller. With a table, all execution environments share the buckets.
//!
//! A bucket is stored as the time at which it will be full again (the generic cell rate algorithm). A request moves
//! this time forward. A request is rejected if the time would be further ahead than an empty bucket needs to fill.
//!
//! An execution environment draws a tenth of a bucket from the table at a time. It serves requests from the drawn
//! tokens, and draws again after a response. So a request waits for the table only if its caller is new to the
//! execution environment, or if the drawn tokens do not suffice. Drawn tokens do not expire: after a pause, each
//! execution environment can hold up to a sixth of a bucket in addition to the shared bucket. If the table is
//! unavailable, each execution environment uses local buckets of a tenth of the size.

mod bucket;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use shared::SharedBuckets;

pub use bucket::{BucketId, Exhausted};
use bucket::{REMEMBERED, after_taking, portion};

use crate::base::clock::Clock;
use crate::base::config::{Rate, RateLimits};
use crate::base::lock::Lock;
use crate::base::table::Table;

/// A rate limiter for callers.
pub struct RateLimiter {
    limits: RateLimits,
    clock: Arc<dyn Clock>,
    shared: Option<SharedBuckets>,
    own: Lock<LruCache<BucketId, Duration>>,
}

impl RateLimiter {
    /// Creates a rate limiter with its buckets in `table`, or in memory without one. A request waits for the table for
    /// at most `timeout`.
    pub fn new(
        limits: RateLimits,
        table: Option<Table>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            limits,
            shared: table.map(|table| SharedBuckets::new(table, timeout, clock.clone())),
            clock,
            own: Lock::new(LruCache::new(REMEMBERED)),
        }
    }

    /// Takes `count` tokens from a bucket. The plan sets the size of the bucket and its refill rate. A `count` above
    /// the size of the bucket takes all of its tokens.
    pub async fn take(
        &self,
        bucket: &BucketId,
        plan: Option<&str>,
        count: u32,
    ) -> Result<(), Exhausted> {
        let Some(rate) = self.limits.of(plan) else {
            return Ok(());
        };
        let (rate, count) = match &self.shared {
            None => (rate, count.min(rate.burst)),
            Some(shared) => {
                let all_of_it = count.min(rate.burst);
                if let Some(taken) = shared.take(bucket, rate, all_of_it).await {
                    return taken;
                }
                let burst = portion(rate);
                (Rate { burst, ..rate }, count.min(burst))
            }
        };
        let mut own = self.own.lock();
        let full_at = own.get(bucket).copied().unwrap_or_default();
        let full_at = after_taking(full_at, self.clock.now().unix, rate, count)?;
        own.put(bucket.clone(), full_at);
        Ok(())
    }

    /// Draws tokens for recent callers whose drawn tokens are low. Call it when no request is waiting.
    pub async fn replenish(&self, limit: Duration) {
        if let Some(shared) = &self.shared {
            // After a timeout, the next request of a caller draws the tokens.
            let _ = tokio::time::timeout(limit, shared.replenish()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;

    const RATE: Rate = Rate {
        interval: Duration::from_millis(500),
        burst: 4,
    };

    fn limiter(clock: &Arc<ManualClock>) -> RateLimiter {
        let limits = RateLimits {
            plans: [("guest".to_owned(), Some(RATE)), ("staff".to_owned(), None)].into(),
            others: Some(Rate { burst: 8, ..RATE }),
        };
        RateLimiter::new(limits, None, Duration::ZERO, clock.clone())
    }

    async fn taken(limiter: &RateLimiter, who: &BucketId, plan: Option<&str>, tries: u32) -> u32 {
        let mut taken = 0;
        for _ in 0..tries {
            taken += u32::from(limiter.take(who, plan, 1).await.is_ok());
        }
        taken
    }

    #[tokio::test]
    async fn plan_sets_burst_and_refill_rate() {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
        let limiter = limiter(&clock);
        let (a, b) = (BucketId::new(None, "a"), BucketId::new(None, "b"));
        assert_eq!(taken(&limiter, &a, Some("guest"), 10).await, 4);
        assert_eq!(taken(&limiter, &b, Some("guest"), 10).await, 4);
        assert_eq!(
            limiter.take(&a, Some("guest"), 1).await,
            Err(Exhausted {
                wait: Duration::from_millis(500)
            })
        );
        clock.advance(Duration::from_millis(499));
        assert_eq!(taken(&limiter, &a, Some("guest"), 1).await, 0);
        clock.advance(Duration::from_millis(1_001));
        assert_eq!(taken(&limiter, &a, Some("guest"), 10).await, 3);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(taken(&limiter, &a, Some("guest"), 10).await, 4);
        let c = BucketId::new(Some("a"), "");
        assert_eq!(taken(&limiter, &c, None, 10).await, 8);
        assert_eq!(taken(&limiter, &c, Some("other"), 1).await, 0);
        assert_eq!(taken(&limiter, &c, Some("staff"), 1_000).await, 1_000);
    }

    /// A caller who changes to a faster plan waits at most until the bucket of the faster plan has refilled.
    #[tokio::test]
    async fn wait_after_a_plan_change_follows_the_new_plan() {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
        let limits = RateLimits {
            plans: [].into(),
            others: Some(RATE),
        };
        let slow = Rate {
            interval: Duration::from_secs(1_000),
            burst: 100_000,
        };
        let mut limiter = RateLimiter::new(limits, None, Duration::ZERO, clock.clone());
        let a = BucketId::new(None, "a");
        limiter.limits.others = Some(slow);
        assert_eq!(limiter.take(&a, None, 100_000).await, Ok(()));
        limiter.limits.others = Some(RATE);
        let wait = Duration::from_millis(500);
        assert_eq!(limiter.take(&a, None, 1).await, Err(Exhausted { wait }));
    }

    #[tokio::test]
    async fn batch_takes_one_token_per_command() {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
        let limiter = limiter(&clock);
        let a = BucketId::new(None, "a");
        assert_eq!(limiter.take(&a, Some("guest"), 3).await, Ok(()));
        assert!(limiter.take(&a, Some("guest"), 2).await.is_err());
        assert_eq!(limiter.take(&a, Some("guest"), 1).await, Ok(()));
        clock.advance(Duration::from_secs(2));
        assert_eq!(limiter.take(&a, Some("guest"), 100).await, Ok(()));
        assert!(limiter.take(&a, Some("guest"), 1).await.is_err());
    }

    #[test]
    fn bucket_ids_differ_by_tenant_and_subject() {
        let id = BucketId::new;
        assert_eq!(id(None, "a"), id(None, "a"));
        assert_ne!(id(None, "a"), id(Some("a"), ""));
        assert_ne!(id(Some("a"), "bc"), id(Some("ab"), "c"));
        assert!(!id(None, "subject").0.contains("subject"));
    }

    proptest::proptest! {
        /// In any period, the tokens taken are at most a full bucket plus the tokens refilled in that period.
        #[test]
        fn taken_tokens_never_exceed_burst_plus_refill(
            steps in proptest::collection::vec((0_u64..3_000, 1_u32..5), 1..60),
        ) {
            let mut full_at = Duration::ZERO;
            let mut now = Duration::from_secs(1_000);
            let mut taken: Vec<(Duration, u32)> = Vec::new();
            for (pause, count) in steps {
                now += Duration::from_millis(pause);
                if let Ok(then) = after_taking(full_at, now, RATE, count) {
                    full_at = then;
                    taken.push((now, count));
                }
            }
            for from in 0..taken.len() {
                let mut sum = 0;
                for (at, count) in &taken[from..] {
                    sum += count;
                    let flowed = (*at - taken[from].0).as_secs_f64() / RATE.interval.as_secs_f64();
                    proptest::prop_assert!(f64::from(sum) <= f64::from(RATE.burst) + flowed + 1e-9);
                }
            }
        }
    }
}
