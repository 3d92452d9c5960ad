//! Records in the table that all execution environments share.

use futures_util::future::BoxFuture;

use super::{Begin, OutcomeStore, REMEMBERED, Record, Remembered, StoreError};
use crate::base::clock::Timestamp;
use crate::base::table::{Condition, Item, Key, Table, TableError, Write};

/// A store in a DynamoDB table.
#[derive(Debug)]
pub struct SharedStore(Table);

impl SharedStore {
    /// Creates a store in `table`.
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    async fn put_if_free(
        &self,
        id: &str,
        begun: Record,
        now: Timestamp,
    ) -> Result<Begin, StoreError> {
        let run = begun.run.clone();
        let is_free = Condition {
            // DynamoDB deletes expired items only within days.
            expression: "attribute_not_exists(pk) OR expires_at < :now",
            names: &[],
            values: vec![("now", now.unix.as_secs().into())],
        };
        match self
            .0
            .put(&key(id), item(begun, now), Some(is_free))
            .await?
        {
            Write::Done => Ok(Begin::Begun),
            Write::Refused(item) => match record(&item) {
                // This run wrote the record in an earlier attempt whose response was lost.
                Some(found) if found.run == run => Ok(Begin::Begun),
                Some(found) => Ok(Begin::InUse(found)),
                None => Err(StoreError("the record is damaged".into())),
            },
        }
    }
}

impl OutcomeStore for SharedStore {
    fn begin<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Begin, StoreError>> {
        Box::pin(self.put_if_free(id, record, now))
    }

    fn finish<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let is_ours = Condition::is_of(&record.run);
            // The condition fails if an earlier attempt succeeded, or if the record expired and another run has begun
            // its own. Neither case is an error.
            self.0
                .put(&key(id), item(record, now), Some(is_ours))
                .await?;
            Ok(())
        })
    }

    fn forget<'a>(&'a self, id: &'a str, run: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { Ok(self.0.delete(&key(id), Some(Condition::is_of(run))).await?) })
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        Self(error.0)
    }
}

fn key(id: &str) -> Key {
    Key {
        pk: format!("idempotency#{id}"),
        sk: "outcome".into(),
    }
}

fn item(record: Record, now: Timestamp) -> Item {
    let expires_at = (now.unix + REMEMBERED).as_secs();
    let mut item = Item::new([
        ("request", record.request.into()),
        ("run", record.run.into()),
        ("expires_at", expires_at.into()),
    ]);
    match record.outcome {
        None => {}
        Some(Remembered::Results(json)) => item.insert("results", json.into()),
        Some(Remembered::TooLarge) => item.insert("too_large", true.into()),
    }
    item
}

fn record(item: &Item) -> Option<Record> {
    let outcome = if item.flag("too_large") {
        Some(Remembered::TooLarge)
    } else {
        let results = item.text("results");
        results.map(|json| Remembered::Results(json.to_owned()))
    };
    Some(Record {
        request: item.text("request")?.to_owned(),
        run: item.text("run")?.to_owned(),
        outcome,
    })
}
