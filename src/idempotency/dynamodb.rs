//! Records in a DynamoDB table, shared by all sandboxes.
//!
//! The table has a string partition key `pk`, a string sort key `sk`, and `expires_at` (seconds) as its time to live.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::BoxFuture;

use super::{OutcomeStore, REMEMBERED, Record, Remembered, StoreError};
use crate::clock::Timestamp;

type Item = HashMap<String, AttributeValue>;

/// Keeps records in a table.
#[derive(Debug)]
pub struct DynamoDbStore {
    client: Client,
    table: String,
}

impl DynamoDbStore {
    /// A store in `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn put_if_free(
        &self,
        id: &str,
        begun: Record,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let run = begun.run.clone();
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(id, begun, now)))
            // DynamoDB removes expired items within days, not at once.
            .condition_expression("attribute_not_exists(pk) OR expires_at < :now")
            .expression_attribute_values(":now", seconds(now.unix.as_secs()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(taken) => taken
                    .item
                    .as_ref()
                    .and_then(record)
                    // Our own record, written by a try whose answer was lost, is no reason to stop.
                    .map(|found| Some(found).filter(|found| found.run != run))
                    .ok_or_else(|| StoreError("a damaged record".into())),
                other => Err(failed(other.code())),
            },
            Err(error) => Err(failed(error.code())),
        }
    }
}

impl OutcomeStore for DynamoDbStore {
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
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .condition_expression(IS_OURS)
                .expression_attribute_names("#run", "run")
                .expression_attribute_values(":run", AttributeValue::S(record.run.clone()))
                .set_item(Some(item(id, record, now)))
                .send()
                .await;
            done_unless(put, |error| error.is_conditional_check_failed_exception())
        })
    }

    fn forget<'a>(&'a self, id: &'a str, run: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let delete = self
                .client
                .delete_item()
                .table_name(&self.table)
                .key("pk", partition(id))
                .key("sk", sort())
                .condition_expression(IS_OURS)
                .expression_attribute_names("#run", "run")
                .expression_attribute_values(":run", AttributeValue::S(run.to_owned()))
                .send()
                .await;
            done_unless(delete, |error| {
                error.is_conditional_check_failed_exception()
            })
        })
    }
}

/// The SDK tries again by itself when an answer was lost. By then the record may be another run's, and is left alone.
const IS_OURS: &str = "#run = :run";

/// A write that met another run's record had its say already, or comes too late: both are done.
fn done_unless<T, E: ProvideErrorMetadata + std::error::Error>(
    written: Result<T, SdkError<E>>,
    is_taken: impl FnOnce(&E) -> bool,
) -> Result<(), StoreError> {
    match written {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(error)) if is_taken(error.err()) => Ok(()),
        Err(error) => Err(failed(error.code())),
    }
}

fn failed(code: Option<&str>) -> StoreError {
    StoreError(code.unwrap_or("no answer").to_owned())
}

fn partition(id: &str) -> AttributeValue {
    AttributeValue::S(format!("idempotency#{id}"))
}

fn sort() -> AttributeValue {
    AttributeValue::S("outcome".into())
}

fn seconds(seconds: u64) -> AttributeValue {
    AttributeValue::N(seconds.to_string())
}

fn item(id: &str, record: Record, now: Timestamp) -> Item {
    let mut item = Item::from([
        ("pk".into(), partition(id)),
        ("sk".into(), sort()),
        ("request".into(), AttributeValue::S(record.request)),
        ("run".into(), AttributeValue::S(record.run)),
        (
            "expires_at".into(),
            seconds((now.unix + REMEMBERED).as_secs()),
        ),
    ]);
    match record.outcome {
        None => {}
        Some(Remembered::Results(json)) => {
            item.insert("results".into(), AttributeValue::S(json));
        }
        Some(Remembered::TooLarge) => {
            item.insert("too_large".into(), AttributeValue::Bool(true));
        }
    }
    item
}

fn record(item: &Item) -> Option<Record> {
    let request = item.get("request")?.as_s().ok()?.clone();
    let outcome = if item.contains_key("too_large") {
        Some(Remembered::TooLarge)
    } else {
        item.get("results")
            .and_then(|results| results.as_s().ok())
            .map(|json| Remembered::Results(json.clone()))
    };
    let run = item.get("run")?.as_s().ok()?.clone();
    Some(Record {
        request,
        run,
        outcome,
    })
}
