//! Buckets in the table that all sandboxes share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lru::LruCache;

use super::{BucketId, Exhausted, REMEMBERED, after_taking, lock};
use crate::clock::Clock;
use crate::config::Rate;
use crate::table::{Condition, Item, Key, Table, TableError, Write};

/// How long a caller waits for the table; what they ask for is not worth more.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long a table that could not be used is left alone: it must not cost every request that patience.
const REST: Duration = Duration::from_secs(10);

/// How often another sandbox may be quicker.
const TRIES: usize = 8;

pub(super) struct SharedBuckets {
    table: Table,
    clock: Arc<dyn Clock>,
    drawn: Mutex<LruCache<BucketId, Drawn>>,
    /// Until when the table is left alone, since it could not be used.
    resting_until: Mutex<Duration>,
}

/// What a sandbox has drawn for one caller and not given out.
#[derive(Clone, Copy)]
struct Drawn {
    left: u32,
    rate: Rate,
    /// What the table held when it was last written from here.
    full_at: Duration,
}

impl SharedBuckets {
    pub(super) fn new(table: Table, clock: Arc<dyn Clock>) -> Self {
        Self {
            table,
            clock,
            drawn: Mutex::new(LruCache::new(REMEMBERED)),
            resting_until: Mutex::default(),
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
        if self.clock.now().unix < *lock(&self.resting_until) {
            return None;
        }
        let drawn = async {
            let portion = count.max(portion(rate));
            match self.draw(bucket, rate, portion, count).await? {
                // Less than a portion may be left, and enough.
                Err(_) => self.draw(bucket, rate, count, count).await,
                drawn => Ok(drawn),
            }
        };
        // On the heap, since hardly any request comes here.
        let drawn = tokio::time::timeout(PATIENCE, Box::pin(drawn)).await;
        let drawn = drawn.unwrap_or_else(|_| Err(TableError("no answer in time".into())));
        if let Err(error) = &drawn {
            tracing::warn!(category = "rate-limit", error = %error, "this sandbox counts for itself");
            *lock(&self.resting_until) = self.clock.now().unix + REST;
        }
        drawn.ok()
    }

    pub(super) async fn replenish(&self) {
        let low: Vec<(BucketId, Rate)> = lock(&self.drawn)
            .iter()
            .filter(|(_, drawn)| drawn.left < portion(drawn.rate).div_ceil(2))
            .map(|(bucket, drawn)| (bucket.clone(), drawn.rate))
            .collect();
        for (bucket, rate) in low {
            let draw = Box::pin(self.draw(&bucket, rate, portion(rate), 0));
            // If it fails, the caller's next request finds out why.
            let _ = tokio::time::timeout(PATIENCE, draw).await;
        }
    }

    /// Gives out of what was drawn.
    fn give(&self, bucket: &BucketId, rate: Rate, count: u32) -> bool {
        let mut all = lock(&self.drawn);
        let Some(drawn) = all.get_mut(bucket) else {
            return false;
        };
        // A caller whose plan has changed.
        drawn.rate = rate;
        let left = drawn.left.checked_sub(count);
        drawn.left = left.unwrap_or(drawn.left);
        left.is_some()
    }

    /// Draws from the table, and gives out of that at once, before anybody else does.
    async fn draw(
        &self,
        bucket: &BucketId,
        rate: Rate,
        count: u32,
        given: u32,
    ) -> Result<Result<(), Exhausted>, TableError> {
        let mut seen = lock(&self.drawn).get(bucket).map(|drawn| drawn.full_at);
        for _ in 0..TRIES {
            let now = self.clock.now().unix;
            // What is in the table lies no earlier than what was seen there.
            let full_at = match after_taking(seen.unwrap_or_default(), now, rate, count) {
                Ok(full_at) => full_at,
                Err(exhausted) => return Ok(Err(exhausted)),
            };
            match self.write(bucket, seen, full_at).await? {
                Write::Done => {
                    let mut all = lock(&self.drawn);
                    let left = all.get(bucket).map_or(0, |drawn| drawn.left);
                    let drawn = Drawn {
                        left: left + count - given,
                        rate,
                        full_at,
                    };
                    all.put(bucket.clone(), drawn);
                    return Ok(Ok(()));
                }
                Write::Refused(item) => {
                    seen = item.number("full_at").map(Duration::from_millis);
                }
            }
        }
        Err(TableError("others were always quicker".into()))
    }

    async fn write(
        &self,
        bucket: &BucketId,
        seen: Option<Duration>,
        full_at: Duration,
    ) -> Result<Write, TableError> {
        let key = Key {
            pk: format!("rate#{}", bucket.0),
            sk: "bucket",
        };
        let condition = match seen {
            Some(seen) => Condition {
                expression: "full_at = :seen",
                names: &[],
                values: vec![("seen", seen.into())],
            },
            None => Condition {
                expression: "attribute_not_exists(pk)",
                names: &[],
                values: Vec::new(),
            },
        };
        let item = Item::new([
            ("full_at", full_at.into()),
            // A bucket that is full need not be remembered.
            ("expires_at", (full_at.as_secs() + 1).into()),
        ]);
        self.table.put(&key, item, Some(condition)).await
    }
}

/// How much is drawn at a time.
fn portion(rate: Rate) -> u32 {
    (rate.burst / 10).max(1)
}
