//! Records in the memory of one sandbox, for use without a table.

use std::collections::{HashMap, VecDeque};

use futures_util::future::BoxFuture;

use super::{OutcomeStore, REMEMBERED, Record, Remembered, StoreError};
use crate::base::clock::Timestamp;
use crate::base::lock::Lock;

/// The most records kept. Past that new keys are refused: forgetting one would let its commands run again.
pub(super) const MAX_RECORDS: usize = 10_000;

/// The most memory that results may take. Past that the oldest results go, and only the mark that they were there
/// stays.
const MAX_RESULTS_BYTES: usize = 2 << 20;

/// Keeps records in memory: they guard against repeats that meet the same sandbox.
#[derive(Debug, Default)]
pub struct MemoryStore(Lock<Records>);

#[derive(Debug, Default)]
struct Records {
    by_id: HashMap<String, (Record, Timestamp)>,
    /// Those with results, oldest first, and how many bytes those have.
    with_results: VecDeque<String>,
    results_bytes: usize,
}

impl Records {
    fn begin(
        &mut self,
        id: &str,
        record: Record,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        if let Some((found, at)) = self.by_id.get(id)
            && now.since(*at) < REMEMBERED
        {
            return Ok(Some(found.clone()));
        }
        self.forget(id);
        if self.by_id.len() >= MAX_RECORDS {
            let ended: Vec<String> = self
                .by_id
                .iter()
                .filter(|(_, (_, at))| now.since(*at) >= REMEMBERED)
                .map(|(id, _)| id.clone())
                .collect();
            for id in ended {
                self.forget(&id);
            }
        }
        if self.by_id.len() >= MAX_RECORDS {
            return Err(StoreError(
                "too many keys for one sandbox's memory; set TABLE_NAME".into(),
            ));
        }
        self.by_id.insert(id.to_owned(), (record, now));
        Ok(None)
    }

    fn belongs_to(&self, id: &str, run: &str) -> bool {
        self.by_id
            .get(id)
            .is_some_and(|(record, _)| record.run == run)
    }

    fn finish(&mut self, id: &str, record: Record, now: Timestamp) {
        self.forget(id);
        if let Some(Remembered::Results(json)) = &record.outcome {
            self.results_bytes += json.len();
            self.with_results.push_back(id.to_owned());
        }
        self.by_id.insert(id.to_owned(), (record, now));
        while self.results_bytes > MAX_RESULTS_BYTES {
            let Some(oldest) = self.with_results.pop_front() else {
                break;
            };
            if let Some((record, _)) = self.by_id.get_mut(&oldest)
                && let Some(Remembered::Results(json)) =
                    record.outcome.replace(Remembered::TooLarge)
            {
                self.results_bytes -= json.len();
            }
        }
    }

    fn forget(&mut self, id: &str) {
        if let Some((record, _)) = self.by_id.remove(id)
            && let Some(Remembered::Results(json)) = record.outcome
        {
            self.results_bytes -= json.len();
            self.with_results.retain(|kept| kept != id);
        }
    }
}

impl MemoryStore {
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Records) -> Result<T, StoreError>,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let done = work(&mut self.0.lock());
        Box::pin(std::future::ready(done))
    }
}

impl OutcomeStore for MemoryStore {
    fn begin<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.with(|records| records.begin(id, record, now))
    }

    fn finish<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|records| {
            if records.belongs_to(id, &record.run) {
                records.finish(id, record, now);
            }
            Ok(())
        })
    }

    fn forget<'a>(&'a self, id: &'a str, run: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|records| {
            if records.belongs_to(id, run) {
                records.forget(id);
            }
            Ok(())
        })
    }
}
