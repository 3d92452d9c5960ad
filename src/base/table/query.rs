//! Reads of items.

use std::time::Duration;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::Select;

use super::Table;
use super::condition::Condition;
use super::error::TableError;
use super::item::{Item, Key, Value};

/// A query of the items of one partition, in the order of their sort keys.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    index: Option<&'a str>,
    keys: Condition<'a>,
    live_at: Option<Duration>,
    most: Option<usize>,
}

impl<'a> Query<'a> {
    /// Creates a query of all items with this partition key. The read is strongly consistent.
    pub fn partition(pk: String) -> Self {
        Self::of(Condition {
            expression: "#pk = :pk",
            names: &["pk"],
            values: vec![("pk", pk.into())],
        })
    }

    /// Creates a query of the items with this partition key whose sort key begins with `prefix`. The read is strongly
    /// consistent. DynamoDB rejects an empty prefix.
    pub fn beginning_with(pk: String, prefix: String) -> Self {
        Self::of(Condition {
            expression: "#pk = :pk AND begins_with(#sk, :sk)",
            names: &["pk", "sk"],
            values: vec![("pk", pk.into()), ("sk", prefix.into())],
        })
    }

    /// Creates a query of an index, with a condition on the keys of the index. An index shows a write after a short
    /// delay.
    pub fn index(index: &'a str, keys: Condition<'a>) -> Self {
        Self {
            index: Some(index),
            ..Self::of(keys)
        }
    }

    fn of(keys: Condition<'a>) -> Self {
        Self {
            index: None,
            keys,
            live_at: None,
            most: None,
        }
    }

    /// Leaves out the items that have expired at `now` (since the Unix epoch), or that do not expire. DynamoDB deletes
    /// expired items only within days.
    #[must_use]
    pub fn live_at(mut self, now: Duration) -> Self {
        self.live_at = Some(now);
        self
    }

    /// Limits the number of items.
    #[must_use]
    pub fn most(mut self, most: usize) -> Self {
        self.most = Some(most);
        self
    }
}

impl Table {
    /// Reads an item. The read is strongly consistent.
    pub async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let request = self.client.get_item().table_name(&self.name);
        let request = request
            .set_key(Some(key.attributes()))
            .consistent_read(true);
        match request.send().await {
            Ok(found) => Ok(found.item.map(Item)),
            Err(error) => Err(TableError::of(&error)),
        }
    }

    /// Reads the items of a query, page after page.
    pub async fn query(&self, query: Query<'_>) -> Result<Vec<Item>, TableError> {
        let most = query.most.unwrap_or(usize::MAX);
        let mut items = Vec::new();
        if most == 0 {
            return Ok(items);
        }
        let mut pages = self.request(query).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| TableError::of(&error))?;
            items.extend(page.items.unwrap_or_default().into_iter().map(Item));
            if items.len() >= most {
                items.truncate(most);
                break;
            }
        }
        Ok(items)
    }

    /// Counts the items of a query, page after page. Their number is not limited by [`Query::most`].
    pub async fn count(&self, query: Query<'_>) -> Result<usize, TableError> {
        let request = self.request(query).select(Select::Count);
        let mut pages = request.into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| TableError::of(&error))?;
            count += usize::try_from(page.count).unwrap_or_default();
        }
        Ok(count)
    }

    fn request(&self, query: Query<'_>) -> QueryFluentBuilder {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(query.index.map(str::to_owned))
            .consistent_read(query.index.is_none())
            .set_limit(query.most.and_then(|most| i32::try_from(most).ok()))
            .key_condition_expression(query.keys.expression)
            .set_expression_attribute_names(query.keys.names())
            .set_expression_attribute_values(query.keys.values());
        match query.live_at {
            Some(now) => request
                .filter_expression("#expires_at >= :live_at")
                .expression_attribute_names("#expires_at", "expires_at")
                .expression_attribute_values(":live_at", Value::from(now.as_secs()).0),
            None => request,
        }
    }
}
