//! DynamoDB: creates and reads tables.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::emulator::AwsEmulator;
use crate::stack::error::{Error, Result};

const CREATE: &str = "dynamodb:CreateTable";
const EXPIRY: &str = "dynamodb:UpdateTimeToLive";
const KEYS: [&str; 2] = ["pk", "sk"];
const INDEX: &str = "by_due";
const INDEX_KEYS: [&str; 2] = ["shard", "due"];
/// All attributes that are keys of the table or of its index.
const ATTRIBUTES: [(&str, ScalarAttributeType); 4] = [
    ("pk", ScalarAttributeType::S),
    ("sk", ScalarAttributeType::S),
    ("shard", ScalarAttributeType::S),
    ("due", ScalarAttributeType::N),
];

impl AwsEmulator {
    /// Creates a table like the one in the template: keys `pk` and `sk`, time to live `expires_at`,
    /// and the index `by_due` with the keys `shard` and `due`.
    /// The emulator does not delete expired items; AWS can take two days.
    ///
    /// # Errors
    /// If the table exists, or a call fails.
    pub async fn create_table(&self, name: &str) -> Result<()> {
        let client = Client::new(self.sdk_config());
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .set_key_schema(Some(key_schema(INDEX_KEYS)?))
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::All)
                    .build(),
            );
        let mut table = client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(key_schema(KEYS)?))
            .global_secondary_indexes(built(CREATE, index.build())?);
        for (name, kind) in ATTRIBUTES {
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(kind);
            table = table.attribute_definitions(built(CREATE, attribute.build())?);
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
        items.sort_by_cached_key(|item| KEYS.map(|key| item.get(key).map(Value::to_string)));
        Ok(items)
    }
}

/// Returns the schema of a partition key and a sort key.
fn key_schema([partition, sort]: [&str; 2]) -> Result<Vec<KeySchemaElement>> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            let element = KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind);
            built(CREATE, element.build())
        })
        .collect()
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
