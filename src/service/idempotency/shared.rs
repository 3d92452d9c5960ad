//! Records in the table that all sandboxes share.

use futures_util::future::BoxFuture;

use super::{OutcomeStore, REMEMBERED, Record, Remembered, StoreError};
use crate::base::clock::Timestamp;
use crate::base::table::{Condition, Item, Key, Table, TableError, Value, Write};

/// Keeps records in a table.
#[derive(Debug)]
pub struct SharedStore(Table);

impl SharedStore {
    /// A store in `table`.
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    async fn put_if_free(
        &self,
        id: &str,
        begun: Record,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let run = begun.run.clone();
        let is_free = Condition {
            // DynamoDB removes expired items within days, not at once.
            expression: "attribute_not_exists(pk) OR expires_at < :now",
            names: &[],
            values: vec![("now", now.unix.as_secs().into())],
        };
        match self
            .0
            .put(&key(id), item(begun, now), Some(is_free))
            .await?
        {
            Write::Done => Ok(None),
            // Our own record, written by a try whose answer was lost, is no reason to stop.
            Write::Refused(item) => record(&item)
                .map(|found| Some(found).filter(|found| found.run != run))
                .ok_or_else(|| StoreError("a damaged record".into())),
        }
    }
}

impl OutcomeStore for SharedStore {
    fn begin<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
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
            // A write that met another run's record had its say already, or comes too late: both are done.
            self.0
                .put(&key(id), item(record, now), Some(is_ours))
                .await?;
            Ok(())
        })
    }

    fn forget<'a>(&'a self, id: &'a str, run: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { Ok(self.0.delete(&key(id), Condition::is_of(run)).await?) })
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
        sk: "outcome",
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
        Some(Remembered::TooLarge) => item.insert("too_large", Value::Flag),
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
