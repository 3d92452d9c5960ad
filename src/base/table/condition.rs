//! Conditions on items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::Value;

/// A condition on an item, in DynamoDB's expression language. A write happens only if its condition holds for the
/// stored item.
#[derive(Clone, Debug)]
pub struct Condition<'a> {
    /// The expression. Names that DynamoDB reserves begin with `#`, values with `:`.
    pub expression: &'a str,
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
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter();
        let names = names.map(|name| (format!("#{name}"), (*name).to_owned()));
        Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
    }

    /// Returns the values in DynamoDB's form. DynamoDB rejects an empty map.
    pub(super) fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.into_iter();
        let values = values.map(|(name, value)| (format!(":{name}"), value.0));
        Some(values.collect()).filter(|values: &HashMap<_, _>| !values.is_empty())
    }
}
