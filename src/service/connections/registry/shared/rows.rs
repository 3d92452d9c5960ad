//! Conversions between rows and items.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::home_name::HomeName;
use crate::base::table::{Item, Value};

/// A watch of a connection.
#[derive(Debug, Deserialize)]
pub(super) struct Watch {
    pub(super) tenant: Option<HomeName>,
    pub(super) resource: String,
}

/// The part of a connection's row that statistics need.
#[derive(Debug, Deserialize)]
pub(super) struct Presence {
    pub(super) identity: Option<Tenant>,
}

/// The part of an identity that statistics need.
#[derive(Debug, Deserialize)]
pub(super) struct Tenant {
    pub(super) tenant: Option<HomeName>,
}

/// Converts an item that is one of several. A damaged item must not hide the others, so it is skipped.
pub(super) fn readable<T: DeserializeOwned>(item: Item) -> Option<T> {
    let row = item.into_row();
    row.inspect_err(|error| {
        tracing::warn!(category = "connections", error = %error, "a damaged item was skipped");
    })
    .ok()
}

/// Returns true if the item exists and has not expired.
pub(super) fn is_live(item: &Item, now: Duration) -> bool {
    let expires_at = item.number("expires_at");
    expires_at.is_some_and(|at| at >= now.as_secs())
}

/// Returns a time as the table's time to live has it.
pub(super) fn seconds(time: Duration) -> Value {
    time.as_secs().into()
}
