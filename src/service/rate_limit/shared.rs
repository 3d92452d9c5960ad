//! Buckets in the table that all execution environments share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::bucket::{BucketId, Exhausted, REMEMBERED, after_taking, portion};
use crate::base::clock::Clock;
use crate::base::config::Rate;
use crate::base::lock::Lock;
use crate::base::table::{Condition, Key, Table, TableError, Value, Write};

/// The time for which a failed table is not used. Otherwise each request would wait for its timeout.
const PAUSE: Duration = Duration::from_secs(10);

/// The maximum number of writes per draw. Usually one write suffices. A second write follows if the cached state of the
/// bucket was stale. More writes follow only if other execution environments write at the same time.
const TRIES: usize = 4;

pub(super) struct SharedBuckets {
    table: Table,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    drawn: Lock<LruCache<BucketId, Drawn>>,
    /// The recently used buckets with few drawn tokens left.
    low: Lock<HashMap<BucketId, Rate>>,
    /// The end of the pause after the table has failed, since the Unix epoch.
    paused_until: Lock<Duration>,
}

/// The tokens that an execution environment has drawn for one caller.
#[derive(Clone, Copy, Default)]
struct Drawn {
    /// The number of tokens that are not used yet.
    left: u32,
    /// The time at which the shared bucket will be full again, as of the last read or write.
    full_at: Duration,
}

impl SharedBuckets {
    pub(super) fn new(table: Table, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            table,
            timeout,
            clock,
            drawn: Lock::new(LruCache::new(REMEMBERED)),
            low: Lock::default(),
            paused_until: Lock::default(),
        }
    }

    /// Takes tokens from a bucket. Returns `None` if the table is unavailable.
    pub(super) async fn take(
        &self,
        bucket: &BucketId,
        rate: Rate,
        count: u32,
    ) -> Option<Result<(), Exhausted>> {
        if self.give(bucket, rate, count) {
            return Some(Ok(()));
        }
        if self.is_paused() {
            return None;
        }
        // Boxed to keep the future of `take` small: most requests do not draw.
        let drawn = Box::pin(self.draw(bucket, rate, count));
        let drawn = tokio::time::timeout(self.timeout, drawn).await;
        self.usable(drawn.unwrap_or_else(|_| Err(TableError("the request timed out".into()))))
    }

    /// Draws tokens for each bucket that is low, one after the other. Stops if the table fails.
    pub(super) async fn replenish(&self) {
        let low = std::mem::take(&mut *self.low.lock());
        for (bucket, rate) in low {
            if self.is_paused() {
                return;
            }
            let drawn = Box::pin(self.draw(&bucket, rate, 0)).await;
            self.usable(drawn);
        }
    }

    fn is_paused(&self) -> bool {
        self.clock.now().unix < *self.paused_until.lock()
    }

    /// Returns the value of a successful outcome. After an error, pauses the use of the table and returns `None`.
    fn usable<T>(&self, outcome: Result<T, TableError>) -> Option<T> {
        if let Err(error) = &outcome {
            tracing::warn!(category = "rate-limit", error = %error, "rate limits are local: the table failed");
            *self.paused_until.lock() = self.clock.now().unix + PAUSE;
        }
        outcome.ok()
    }

    /// Takes `count` of the drawn tokens. Returns false if too few tokens are left.
    fn give(&self, bucket: &BucketId, rate: Rate, count: u32) -> bool {
        let mut all = self.drawn.lock();
        let Some(drawn) = all.get_mut(bucket) else {
            return false;
        };
        let Some(left) = drawn.left.checked_sub(count) else {
            return false;
        };
        drawn.left = left;
        self.note_low(bucket, rate, left);
        true
    }

    fn note_low(&self, bucket: &BucketId, rate: Rate, left: u32) {
        if left < portion(rate).div_ceil(2) {
            self.low.lock().insert(bucket.clone(), rate);
        }
    }

    /// Draws `count` tokens, or a whole portion if the bucket has it, and takes `count` of them for the present
    /// request. No concurrent request can take those.
    async fn draw(
        &self,
        bucket: &BucketId,
        rate: Rate,
        count: u32,
    ) -> Result<Result<(), Exhausted>, TableError> {
        let mut seen = self
            .drawn
            .lock()
            .get(bucket)
            .map_or(Duration::ZERO, |drawn| drawn.full_at);
        for _ in 0..TRIES {
            let now = self.clock.now().unix;
            let empty = now + rate.interval * rate.burst;
            let least = count.max(1);
            if let Err(exhausted) = after_taking(seen, now, rate, least) {
                if seen > empty {
                    self.shorten(bucket, empty).await?;
                }
                self.note(bucket, seen.min(empty), 0);
                return Ok(Err(exhausted));
            }
            let room =
                (empty - seen.clamp(now, empty)).as_micros() / rate.interval.as_micros().max(1);
            let room = u32::try_from(room).unwrap_or(u32::MAX);
            let wanted = least.max(portion(rate)).min(room.max(least));
            let cost = rate.interval * wanted;
            let write = if seen < now {
                self.begin(bucket, now, now + cost).await?
            } else {
                self.go_on(bucket, now, empty - cost, cost).await?
            };
            match write {
                Write::Done => {
                    let left = self.note(bucket, seen.max(now) + cost, wanted - count);
                    // The draw may have served the request only, with no tokens left over.
                    if count > 0 {
                        self.note_low(bucket, rate, left);
                    }
                    return Ok(Ok(()));
                }
                Write::Refused(item) => {
                    seen = Duration::from_micros(item.number("full_at").unwrap_or_default());
                }
            }
        }
        // Other execution environments won each race for this bucket, so it is nearly empty.
        Ok(Err(Exhausted {
            wait: rate.interval,
        }))
    }

    /// Updates the cached state of a bucket and adds `drawn` tokens. Returns the number of drawn tokens that are left.
    fn note(&self, bucket: &BucketId, full_at: Duration, drawn: u32) -> u32 {
        let mut all = self.drawn.lock();
        let kept = all.get_or_insert_mut(bucket.clone(), Drawn::default);
        kept.full_at = full_at;
        kept.left += drawn;
        kept.left
    }

    /// Writes the new state of a bucket that is full or does not exist yet.
    async fn begin(
        &self,
        bucket: &BucketId,
        now: Duration,
        full_at: Duration,
    ) -> Result<Write, TableError> {
        let values = vec![
            ("now", micros(now)),
            ("full_at", micros(full_at)),
            ("expires_at", expiry(full_at)),
        ];
        let condition = "attribute_not_exists(pk) OR full_at < :now";
        let change = "SET full_at = :full_at, expires_at = :expires_at";
        self.write(bucket, change, condition, values).await
    }

    /// Adds `cost` to the state of a bucket in use. The update is relative, so concurrent updates do not conflict.
    async fn go_on(
        &self,
        bucket: &BucketId,
        now: Duration,
        latest: Duration,
        cost: Duration,
    ) -> Result<Write, TableError> {
        let values = vec![
            ("now", micros(now)),
            ("latest", micros(latest)),
            ("cost", micros(cost)),
            ("expires_at", expiry(latest + cost)),
        ];
        let condition = "full_at >= :now AND full_at <= :latest";
        let change = "SET full_at = full_at + :cost, expires_at = :expires_at";
        self.write(bucket, change, condition, values).await
    }

    /// Limits the state of a bucket to `empty`. A later state comes from another plan or from a wrong clock.
    async fn shorten(&self, bucket: &BucketId, empty: Duration) -> Result<Write, TableError> {
        let values = vec![("empty", micros(empty)), ("expires_at", expiry(empty))];
        let condition = "full_at > :empty";
        let change = "SET full_at = :empty, expires_at = :expires_at";
        self.write(bucket, change, condition, values).await
    }

    async fn write(
        &self,
        bucket: &BucketId,
        change: &'static str,
        expression: &'static str,
        values: Vec<(&str, Value)>,
    ) -> Result<Write, TableError> {
        let condition = Condition {
            expression,
            names: &[],
            values,
        };
        self.table.update(&key(bucket), change, condition).await
    }
}

fn key(bucket: &BucketId) -> Key {
    Key {
        pk: format!("rate#{}", bucket.0),
        sk: "bucket".into(),
    }
}

fn micros(time: Duration) -> Value {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).into()
}

/// Returns the time at which the table may delete a bucket: a full bucket needs no record.
fn expiry(full_at: Duration) -> Value {
    (full_at.as_secs() + 1).into()
}
