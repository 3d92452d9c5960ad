//! The DynamoDB table that all sandboxes share: single items, written under conditions.
//!
//! The table has a string partition key `pk`, a string sort key `sk`, and `expires_at` (seconds) as its time to live.
//! What an item means is its user's business: outcomes of idempotency keys, callers' rates, verdicts on tokens, the
//! lease of a rotation.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

/// Why the table could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared table could not be used ({0})")]
pub struct TableError(pub String);

/// An item's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The partition key: the kind of item and which one, like `verdict#0123…`.
    pub pk: String,
    /// The sort key.
    pub sk: &'static str,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// Yes.
    Flag,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Duration> for Value {
    /// In whole milliseconds.
    fn from(duration: Duration) -> Self {
        Self::Number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// The attributes of an item, without its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item(HashMap<String, Value>);

impl Item {
    /// An item with these attributes.
    pub fn new<const N: usize>(attributes: [(&str, Value); N]) -> Self {
        Self(
            attributes
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        )
    }

    /// Adds an attribute.
    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// A text, if the attribute is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Flag => None,
        }
    }

    /// A number, if the attribute is one.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::Flag => None,
        }
    }

    /// Whether the attribute is there and says yes.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Flag)
    }
}

/// What must hold of the item that is there for a write to happen, in DynamoDB's language.
#[derive(Clone, Debug)]
pub struct Condition<'a> {
    /// The expression. Names that DynamoDB reserves begin with `#`, values with `:`.
    pub expression: &'static str,
    /// The names in it that begin with `#`, without that.
    pub names: &'a [&'a str],
    /// The values in it, without the colon.
    pub values: Vec<(&'a str, Value)>,
}

impl Condition<'_> {
    /// That the item belongs to this run. The SDK tries again by itself when an answer was lost; by then the item may
    /// be another run's, and is left alone.
    pub fn is_of(run: &str) -> Self {
        Self {
            expression: "#run = :run",
            names: &["run"],
            values: vec![("run", run.into())],
        }
    }

    /// As DynamoDB takes them; it refuses a map of none.
    fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter();
        let names = names.map(|name| (format!("#{name}"), (*name).to_owned()));
        Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
    }

    /// As DynamoDB takes them; it refuses a map of none.
    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.into_iter();
        let values = values.map(|(name, value)| (format!(":{name}"), attribute(value)));
        Some(values.collect()).filter(|values: &HashMap<_, _>| !values.is_empty())
    }
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// It happened.
    Done,
    /// The condition did not hold, for this item.
    Refused(Item),
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table called `name`.
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Writes a whole item, if the condition holds of the one that is there.
    pub async fn put(
        &self,
        key: &Key,
        item: Item,
        condition: Option<Condition<'_>>,
    ) -> Result<Write, TableError> {
        let mut request = self
            .client
            .put_item()
            .table_name(&self.name)
            .item("pk", AttributeValue::S(key.pk.clone()))
            .item("sk", AttributeValue::S(key.sk.to_owned()));
        for (name, value) in item.0 {
            request = request.item(name, attribute(value));
        }
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
                    Ok(Write::Refused(item_of(refused.item.unwrap_or_default())))
                }
                other => Err(failed(other.code())),
            },
            Err(error) => Err(failed(error.code())),
        }
    }

    /// Changes an item, or makes one, as `change` (an update expression) says, if the condition holds of the one that
    /// is there. The values in both are the condition's.
    pub async fn update(
        &self,
        key: &Key,
        change: &'static str,
        condition: Condition<'_>,
    ) -> Result<Write, TableError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.to_owned()))
            .update_expression(change)
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Write::Done),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refused) => {
                    Ok(Write::Refused(item_of(refused.item.unwrap_or_default())))
                }
                other => Err(failed(other.code())),
            },
            Err(error) => Err(failed(error.code())),
        }
    }

    /// Removes an item if the condition holds of it. One that is not there, or of which it does not hold, stays as it
    /// is.
    pub async fn delete(&self, key: &Key, condition: Condition<'_>) -> Result<(), TableError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.to_owned()))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(())
            }
            Err(error) => Err(failed(error.code())),
        }
    }
}

fn failed(code: Option<&str>) -> TableError {
    TableError(code.unwrap_or("no answer").to_owned())
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Flag => AttributeValue::Bool(true),
    }
}

/// What latchkey writes are texts, whole numbers and flags; anything else was put there by somebody else.
fn item_of(attributes: HashMap<String, AttributeValue>) -> Item {
    let value = |attribute| match attribute {
        AttributeValue::S(text) => Some(Value::Text(text)),
        AttributeValue::N(digits) => digits.parse().ok().map(Value::Number),
        AttributeValue::Bool(true) => Some(Value::Flag),
        _ => None,
    };
    Item(
        attributes
            .into_iter()
            .filter_map(|(name, attribute)| Some((name, value(attribute)?)))
            .collect(),
    )
}
