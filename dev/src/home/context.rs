//! Ids and times as Home Assistant writes them.

use serde_json::{Value, json};
use time::OffsetDateTime;

/// Returns a new context. Every state and every event has one.
pub(super) fn new() -> Value {
    json!({"id": hex(13).to_uppercase(), "parent_id": null, "user_id": hex(16)})
}

/// Returns random hexadecimal digits, two for each byte.
pub(super) fn hex(bytes: usize) -> String {
    (0..bytes)
        .map(|_| format!("{:02x}", fastrand::u8(..)))
        .collect()
}

/// Returns the current time in Home Assistant's format.
pub(super) fn timestamp() -> String {
    let now = OffsetDateTime::now_utc();
    format!(
        "{}T{:02}:{:02}:{:02}.{:06}+00:00",
        now.date(),
        now.hour(),
        now.minute(),
        now.second(),
        now.microsecond()
    )
}
