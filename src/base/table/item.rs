//! Items, their keys and their attributes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::TableError;

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The partition key: the kind and the identity of the item, like `verdict#0123…`.
    pub pk: String,
    /// The sort key.
    pub sk: Cow<'static, str>,
}

impl Key {
    /// Returns the key as attributes.
    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.as_ref().into())),
        ])
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Value(pub(super) AttributeValue);

impl Value {
    /// DynamoDB's null.
    pub fn null() -> Self {
        Self(AttributeValue::Null(true))
    }

    /// Converts a value through its serialisation. A struct becomes a map.
    ///
    /// # Errors
    /// If the value has a part that DynamoDB does not have.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, TableError> {
        let attribute = serde_dynamo::to_attribute_value(value);
        attribute.map(Self).map_err(|_| unfit::<T>("written from"))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(AttributeValue::S(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(AttributeValue::S(text))
    }
}

impl From<Duration> for Value {
    /// Converts a duration to whole milliseconds.
    fn from(duration: Duration) -> Self {
        u64::try_from(duration.as_millis())
            .unwrap_or(u64::MAX)
            .into()
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(AttributeValue::N(number.to_string()))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self(AttributeValue::Bool(flag))
    }
}

/// The attributes of an item. An item to write has no key. An item that was read has its key, as `pk` and `sk`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item(pub(super) HashMap<String, AttributeValue>);

impl Item {
    /// Creates an item with these attributes.
    pub fn new<const N: usize>(attributes: [(&str, Value); N]) -> Self {
        Self(
            attributes
                .map(|(name, value)| (name.to_owned(), value.0))
                .into(),
        )
    }

    /// Converts a struct or a map. Each of its fields becomes an attribute.
    ///
    /// # Errors
    /// If the row has no fields, or a part that DynamoDB does not have.
    pub fn of<T: Serialize>(row: &T) -> Result<Self, TableError> {
        let item = serde_dynamo::to_item(row);
        item.map(Self).map_err(|_| unfit::<T>("written from"))
    }

    /// Converts the item to a struct or a map. Attributes without a field are ignored, like the key.
    ///
    /// # Errors
    /// If an attribute is missing or has another type.
    pub fn into_row<T: DeserializeOwned>(self) -> Result<T, TableError> {
        serde_dynamo::from_item(self.0).map_err(|_| unfit::<T>("read as"))
    }

    /// Adds an attribute.
    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value.0);
    }

    /// Returns an attribute that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.as_s().ok()?;
        Some(text)
    }

    /// Returns an attribute that is a whole number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_n().ok()?.parse().ok()
    }

    /// Returns true if the attribute is present and true.
    pub fn flag(&self, name: &str) -> bool {
        let flag = self.0.get(name);
        flag.is_some_and(|flag| flag.as_bool() == Ok(&true))
    }
}

/// Returns the error of a failed conversion. The error of `serde_dynamo` may repeat a text of the item, and is dropped.
fn unfit<T>(conversion: &str) -> TableError {
    let row = std::any::type_name::<T>();
    TableError(format!("an item could not be {conversion} {row}"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        name: String,
        count: u64,
        inner: Option<Inner>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        list: Vec<String>,
        is_open: bool,
    }

    fn row(count: u64, inner: Option<Inner>) -> Row {
        Row {
            name: String::new(),
            count,
            inner,
        }
    }

    #[test]
    fn row_survives_its_conversion_to_an_item() {
        for row in [
            row(0, None),
            row(
                u64::MAX,
                Some(Inner {
                    list: vec!["ü".into()],
                    is_open: false,
                }),
            ),
        ] {
            let item = Item::of(&row).unwrap();
            assert_eq!(item.number("count"), Some(row.count));
            assert_eq!(item.text("count"), None);
            assert_eq!(item.into_row::<Row>(), Ok(row));
        }
    }

    #[test]
    fn item_of_another_type_is_an_error() {
        let item = Item::new([("name", "x".into()), ("count", "1".into())]);
        let error = item.into_row::<Row>().unwrap_err();
        assert!(error.0.contains("could not be read as"), "{error}");
        assert!(error.0.ends_with("::Row"), "{error}");
        assert!(Item::of(&"text").is_err());
    }
}
