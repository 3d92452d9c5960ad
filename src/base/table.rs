//! The DynamoDB table that all execution environments share. Each write changes one item, under a condition.
//!
//! The table has a string partition key `pk`, a string sort key `sk`, and `expires_at` (seconds) as its time to live.
//! Its index `by_due` has the partition key `shard` and the sort key `due`, and contains the items that have both. The
//! modules that use the table define the meaning of its items: outcomes of idempotency keys, request rates of callers,
//! verdicts on tokens, the lease of a rotation, callers' connections.
//!
//! | module | content |
//! |---|---|
//! | `item` | items, their keys and their attributes |
//! | `condition` | conditions on items |
//! | `query` | reads of items |
//! | `error` | the error of the table |

mod condition;
mod error;
mod item;
mod query;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

pub use condition::Condition;
pub use error::TableError;
pub use item::{Item, Key, Value};
pub use query::Query;

/// The outcome of a conditional write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The item was written.
    Done,
    /// The condition did not hold for this stored item. The item is empty if none is stored.
    Refused(Item),
}

/// The outcome of a conditional update that returns the stored item.
#[derive(Clone, Debug, PartialEq)]
pub enum Exchange {
    /// The item was written. This is the item as it was before.
    Done(Item),
    /// The condition did not hold for this stored item. The item is empty if none is stored.
    Refused(Item),
}

/// A DynamoDB table.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// Creates a handle to the table `name`.
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Writes a whole item if the condition holds for the stored item.
    pub async fn put(
        &self,
        key: &Key,
        item: Item,
        condition: Option<Condition<'_>>,
    ) -> Result<Write, TableError> {
        let mut attributes = item.0;
        attributes.extend(key.attributes());
        let mut request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(attributes));
        if let Some(condition) = condition {
            request = request
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names())
                .set_expression_attribute_values(condition.values())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
        }
        match request.send().await {
            Ok(_) => Ok(Write::Done),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(refused) => {
                    Ok(Write::Refused(Item(refused.item.unwrap_or_default())))
                }
                other => Err(TableError::of(&other)),
            },
            Err(error) => Err(TableError::of(&error)),
        }
    }

    /// Updates or creates an item with `change`, an update expression, if the condition holds for the stored item. Both
    /// expressions use the names and the values of the condition.
    pub async fn update(
        &self,
        key: &Key,
        change: &str,
        condition: Condition<'_>,
    ) -> Result<Write, TableError> {
        let outcome = self.change(key, change, condition, ReturnValue::None).await;
        Ok(match outcome? {
            Exchange::Done(_) => Write::Done,
            Exchange::Refused(item) => Write::Refused(item),
        })
    }

    /// Does the same as [`Table::update`], and returns the item as it was before.
    pub async fn exchange(
        &self,
        key: &Key,
        change: &str,
        condition: Condition<'_>,
    ) -> Result<Exchange, TableError> {
        self.change(key, change, condition, ReturnValue::AllOld)
            .await
    }

    async fn change(
        &self,
        key: &Key,
        change: &str,
        condition: Condition<'_>,
        returned: ReturnValue,
    ) -> Result<Exchange, TableError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression(change)
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(done) => Ok(Exchange::Done(Item(done.attributes.unwrap_or_default()))),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refused) => {
                    Ok(Exchange::Refused(Item(refused.item.unwrap_or_default())))
                }
                other => Err(TableError::of(&other)),
            },
            Err(error) => Err(TableError::of(&error)),
        }
    }

    /// Deletes an item and returns it. A retry after a lost response finds no item.
    pub async fn take(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .return_values(ReturnValue::AllOld);
        match request.send().await {
            Ok(deleted) => Ok(deleted.attributes.map(Item)),
            Err(error) => Err(TableError::of(&error)),
        }
    }

    /// Deletes an item if the condition holds for it. A missing item, or an item for which the condition does not hold,
    /// is not an error.
    pub async fn delete(
        &self,
        key: &Key,
        condition: Option<Condition<'_>>,
    ) -> Result<(), TableError> {
        let mut request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()));
        if let Some(condition) = condition {
            request = request
                .condition_expression(condition.expression)
                .set_expression_attribute_names(condition.names())
                .set_expression_attribute_values(condition.values());
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(())
            }
            Err(error) => Err(TableError::of(&error)),
        }
    }
}
