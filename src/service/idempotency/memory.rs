//! Records in the memory of one execution environment, for use without a table.

use std::collections::{HashMap, VecDeque};

use futures_util::future::BoxFuture;

use super::{Begin, OutcomeStore, REMEMBERED, Record, Remembered, StoreError};
use crate::base::clock::Timestamp;
use crate::base::lock::Lock;

/// The maximum number of records. Above it, new keys are rejected: without its record, a key's commands could run
/// again.
pub(super) const MAX_RECORDS: usize = 10_000;

/// The maximum size of all results. Above it, the oldest results are dropped, and their records are marked as too
/// large.
const MAX_RESULTS_BYTES: usize = 2 << 20;

/// A store in memory. It detects repeated requests only within the same execution environment.
#[derive(Debug, Default)]
pub struct MemoryStore(Lock<Records>);

#[derive(Debug, Default)]
struct Records {
    by_id: HashMap<String, (Record, Timestamp)>,
    /// The ids of the records with results, oldest first.
    with_results: VecDeque<String>,
    /// The size of all results.
    results_bytes: usize,
}

impl Records {
    fn begin(&mut self, id: &str, record: Record, now: Timestamp) -> Result<Begin, StoreError> {
        if let Some((found, at)) = self.by_id.get(id)
            && now.since(*at) < REMEMBERED
        {
            return Ok(Begin::InUse(found.clone()));
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
            return Err(StoreError(format!(
                "the memory store holds its maximum of {MAX_RECORDS} keys; set TABLE_NAME"
            )));
        }
        self.by_id.insert(id.to_owned(), (record, now));
        Ok(Begin::Begun)
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
    ) -> BoxFuture<'a, Result<Begin, StoreError>> {
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
