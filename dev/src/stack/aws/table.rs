//! DynamoDB: creates and reads tables.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, TimeToLiveSpecification,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::emulator::AwsEmulator;
use crate::stack::error::{Error, Result};

const CREATE: &str = "dynamodb:CreateTable";
const EXPIRY: &str = "dynamodb:UpdateTimeToLive";
const KEYS: [(&str, KeyType); 2] = [("pk", KeyType::Hash), ("sk", KeyType::Range)];

impl AwsEmulator {
    /// Creates a table like the one in the template: keys `pk` and `sk`, time to live `expires_at`.
    /// The emulator does not delete expired items; AWS can take two days.
    ///
    /// # Errors
    /// If the table exists, or a call fails.
    pub async fn create_table(&self, name: &str) -> Result<()> {
        let client = Client::new(self.sdk_config());
        let mut table = client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest);
        for (key, kind) in KEYS {
            let attribute = AttributeDefinition::builder()
                .attribute_name(key)
                .attribute_type(ScalarAttributeType::S);
            let element = KeySchemaElement::builder()
                .attribute_name(key)
                .key_type(kind);
            table = table
                .attribute_definitions(built(CREATE, attribute.build())?)
                .key_schema(built(CREATE, element.build())?);
        }
        table
            .send()
            .await
            .map_err(|error| Error::aws(CREATE, &error))?;
        let expiry = TimeToLiveSpecification::builder()
            .attribute_name("expires_at")
            .enabled(true);
        client
            .update_time_to_live()
            .table_name(name)
            .time_to_live_specification(built(EXPIRY, expiry.build())?)
            .send()
            .await
            .map_err(|error| Error::aws(EXPIRY, &error))?;
        Ok(())
    }

    /// Returns all items of a table, in order of their keys. Binaries become base64, and sets become arrays.
    ///
    /// # Errors
    /// If the table does not exist, or a call fails.
    pub async fn items(&self, table: &str) -> Result<Vec<Map<String, Value>>> {
        let mut pages = Client::new(self.sdk_config())
            .scan()
            .table_name(table)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(map(
                item.map_err(|error| Error::aws("dynamodb:Scan", &error))?
            ));
        }
        items.sort_by_cached_key(|item| KEYS.map(|(key, _)| item.get(key).map(Value::to_string)));
        Ok(items)
    }
}

fn built<T>(call: &'static str, outcome: std::result::Result<T, BuildError>) -> Result<T> {
    outcome.map_err(|error| Error::aws(call, &error))
}

fn map(attributes: HashMap<String, AttributeValue>) -> Map<String, Value> {
    attributes
        .into_iter()
        .map(|(name, value)| (name, json(value)))
        .collect()
}

fn json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(digits) => number(digits),
        AttributeValue::Bool(is_true) => Value::Bool(is_true),
        AttributeValue::B(blob) => Value::String(STANDARD.encode(blob)),
        AttributeValue::M(attributes) => Value::Object(map(attributes)),
        AttributeValue::L(values) => values.into_iter().map(json).collect(),
        AttributeValue::Ss(texts) => texts.into_iter().collect(),
        AttributeValue::Ns(numbers) => numbers.into_iter().map(number).collect(),
        AttributeValue::Bs(blobs) => blobs.into_iter().map(|it| STANDARD.encode(it)).collect(),
        _ => Value::Null,
    }
}

/// Returns a JSON number, or text if the number has too many digits for JSON.
fn number(digits: String) -> Value {
    match digits.parse::<Number>() {
        Ok(exact) => Value::Number(exact),
        Err(_) => Value::String(digits),
    }
}
