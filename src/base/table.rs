//! The DynamoDB table that all execution environments share. Each write changes one item, under a condition.
//!
//! The table has a string partition key `pk`, a string sort key `sk`, and `expires_at` (seconds) as its time to live.
//! The modules that use the table define the meaning of its items: outcomes of idempotency keys, request rates of
//! callers, verdicts on tokens, the lease of a rotation.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

/// A failed operation on the table, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared table could not be used ({0})")]
pub struct TableError(pub String);

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The partition key: the kind and the identity of the item, like `verdict#0123…`.
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
    /// A boolean that is always true when present.
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
    /// Converts a duration to whole milliseconds.
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
    /// Creates an item with these attributes.
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

    /// Returns an attribute that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Flag => None,
        }
    }

    /// Returns an attribute that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::Flag => None,
        }
    }

    /// Returns true if the attribute is present and is a flag.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Flag)
    }
}

/// A condition on the stored item, in DynamoDB's expression language. A write happens only if its condition holds.
#[derive(Clone, Debug)]
pub struct Condition<'a> {
    /// The expression. Names that DynamoDB reserves begin with `#`, values with `:`.
    pub expression: &'static str,
    /// The names in the expression that begin with `#`, without the `#`.
    pub names: &'a [&'a str],
    /// The values in the expression, without the `:`.
    pub values: Vec<(&'a str, Value)>,
}

impl Condition<'_> {
    /// Creates the condition that the stored item belongs to this run. The SDK retries a request whose response was
    /// lost. The item may belong to another run by then, and must not change.
    pub fn is_of(run: &str) -> Self {
        Self {
            expression: "#run = :run",
            names: &["run"],
            values: vec![("run", run.into())],
        }
    }

    /// Returns the names in DynamoDB's form. DynamoDB rejects an empty map.
    fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter();
        let names = names.map(|name| (format!("#{name}"), (*name).to_owned()));
        Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
    }

    /// Returns the values in DynamoDB's form. DynamoDB rejects an empty map.
    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.into_iter();
        let values = values.map(|(name, value)| (format!(":{name}"), attribute(value)));
        Some(values.collect()).filter(|values: &HashMap<_, _>| !values.is_empty())
    }
}

/// The outcome of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The item was written.
    Done,
    /// The condition did not hold for this stored item.
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

    /// Updates or creates an item with `change`, an update expression, if the condition holds for the stored item. Both
    /// expressions use the values of the condition.
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

    /// Deletes an item if the condition holds for it. A missing item, or an item for which the condition does not hold,
    /// is not an error.
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

/// Converts the attributes of an item. latchkey writes texts, whole numbers and flags; other attributes come from other
/// programs and are ignored.
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
