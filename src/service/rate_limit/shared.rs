//! Buckets in the table that all sandboxes share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::bucket::{BucketId, Exhausted, REMEMBERED, after_taking, portion};
use crate::base::clock::Clock;
use crate::base::config::Rate;
use crate::base::lock::Lock;
use crate::base::table::{Condition, Key, Table, TableError, Value, Write};

/// How long a table that could not be used is left alone: it must not cost every request that patience.
const REST: Duration = Duration::from_secs(10);

/// One write settles it mostly, two if the bucket was not as it was thought to be; only then can another sandbox be in
/// between.
const TRIES: usize = 4;

pub(super) struct SharedBuckets {
    table: Table,
    patience: Duration,
    clock: Arc<dyn Clock>,
    drawn: Lock<LruCache<BucketId, Drawn>>,
    /// Who has asked and has little left.
    low: Lock<HashMap<BucketId, Rate>>,
    /// Until when the table is left alone, since it could not be used.
    resting_until: Lock<Duration>,
}

/// What a sandbox has drawn for one caller and not given out.
#[derive(Clone, Copy, Default)]
struct Drawn {
    left: u32,
    /// When the bucket will be full again, by what was last seen of it.
    full_at: Duration,
}

impl SharedBuckets {
    pub(super) fn new(table: Table, patience: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            table,
            patience,
            clock,
            drawn: Lock::new(LruCache::new(REMEMBERED)),
            low: Lock::default(),
            resting_until: Lock::default(),
        }
    }

    /// Takes from a bucket; nothing if the table cannot be used for now.
    pub(super) async fn take(
        &self,
        bucket: &BucketId,
        rate: Rate,
        count: u32,
    ) -> Option<Result<(), Exhausted>> {
        if self.give(bucket, rate, count) {
            return Some(Ok(()));
        }
        if self.is_resting() {
            return None;
        }
        // On the heap, since hardly any request comes here.
        let drawn = Box::pin(self.draw(bucket, rate, count));
        let drawn = tokio::time::timeout(self.patience, drawn).await;
        self.usable(drawn.unwrap_or_else(|_| Err(TableError("no answer in time".into()))))
    }

    /// Draws for those who are low, one after the other, until the table fails.
    pub(super) async fn replenish(&self) {
        let low = std::mem::take(&mut *self.low.lock());
        for (bucket, rate) in low {
            if self.is_resting() {
                return;
            }
            let drawn = Box::pin(self.draw(&bucket, rate, 0)).await;
            self.usable(drawn);
        }
    }

    fn is_resting(&self) -> bool {
        self.clock.now().unix < *self.resting_until.lock()
    }

    /// Leaves the table alone for a while if it could not be used.
    fn usable<T>(&self, outcome: Result<T, TableError>) -> Option<T> {
        if let Err(error) = &outcome {
            tracing::warn!(category = "rate-limit", error = %error, "this sandbox counts for itself");
            *self.resting_until.lock() = self.clock.now().unix + REST;
        }
        outcome.ok()
    }

    /// Gives out of what was drawn.
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

    /// Draws `count` and as much of a portion beside it as there is, and gives out `count` at once, before anybody
    /// else does.
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
                    // What was drawn for a caller may be all there is of it.
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
        // Others are quicker all the time, so there is hardly anything left to take.
        Ok(Err(Exhausted {
            wait: rate.interval,
        }))
    }

    /// Keeps what was seen of a bucket and what was drawn of it; tells how much is left here.
    fn note(&self, bucket: &BucketId, full_at: Duration, drawn: u32) -> u32 {
        let mut all = self.drawn.lock();
        let kept = all.get_or_insert_mut(bucket.clone(), Drawn::default);
        kept.full_at = full_at;
        kept.left += drawn;
        kept.left
    }

    /// Takes from a bucket that is full, or that nobody has taken from yet.
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

    /// Takes from a bucket that others take from as well, however many they are: what is added is the same whatever is
    /// there.
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

    /// A bucket can be no emptier than empty: it was another plan's, or some sandbox's clock is wrong.
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
        sk: "bucket",
    }
}

fn micros(time: Duration) -> Value {
    Value::Number(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// A bucket that is full need not be remembered.
fn expiry(full_at: Duration) -> Value {
    Value::Number(full_at.as_secs() + 1)
}
