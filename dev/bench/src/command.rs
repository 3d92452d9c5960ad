//! The command that is measured.

use hyper::body::Bytes;
use serde_json::{Value, json};

/// The light that the command switches on.
pub(crate) const LIGHT: &str = "light.kitchen";

/// Returns the command that is measured.
pub(crate) fn turn_on() -> Value {
    json!({
        "type": "call_service",
        "domain": "light",
        "service": "turn_on",
        "target": {"entity_id": LIGHT},
    })
}

/// Returns a payload that runs one command.
pub(crate) fn direct(command: &Value) -> Bytes {
    json!({ "command": command }).to_string().into()
}
