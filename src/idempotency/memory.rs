//! Records in the memory of one sandbox, for use without a table.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::{OutcomeStore, REMEMBERED, Record, StoreError};
use crate::clock::Timestamp;

/// The most records kept; the oldest go first.
const MAX_RECORDS: usize = 1_000;

/// Keeps records in memory: they guard against repeats that meet the same sandbox.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<HashMap<String, (Record, Timestamp)>>);

impl MemoryStore {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut HashMap<String, (Record, Timestamp)>) -> T,
    ) -> BoxFuture<'static, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        // A std mutex: nothing awaits while it is held.
        let done = work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(std::future::ready(Ok(done)))
    }
}

impl OutcomeStore for MemoryStore {
    fn begin<'a>(
        &'a self,
        id: &'a str,
        request: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.with(|records| {
            records.retain(|_, (_, at)| now.since(*at) < REMEMBERED);
            if let Some((record, _)) = records.get(id) {
                return Some(record.clone());
            }
            if records.len() >= MAX_RECORDS
                && let Some(oldest) = records
                    .iter()
                    .min_by_key(|(_, (_, at))| at.unix)
                    .map(|(id, _)| id.clone())
            {
                records.remove(&oldest);
            }
            let begun = Record {
                request: request.to_owned(),
                outcome: None,
            };
            records.insert(id.to_owned(), (begun, now));
            None
        })
    }

    fn finish<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|records| {
            records.insert(id.to_owned(), (record, now));
        })
    }

    fn forget<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|records| {
            records.remove(id);
        })
    }
}
