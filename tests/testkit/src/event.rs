//! Events that tests send.

use std::path::Path;

use serde_json::{Value, json};

/// A keep-warm event.
pub const KEEP_WARM: &str = r#"{"source":"keep-warm"}"#;

/// An event with a command that changes nothing.
pub const COMMAND: &str = r#"{"command":{"type":"ping"}}"#;

/// Returns the command that calls a light's service.
pub fn light(service: &str, entity_id: &str) -> Value {
    json!({
        "type": "call_service",
        "domain": "light",
        "service": service,
        "target": { "entity_id": entity_id },
    })
}

/// Returns an event that reports a changed parameter. The detail of the event is an object.
pub fn parameter_change(name: &str) -> String {
    json!({
        "source": "aws.ssm",
        "detail-type": "Parameter Store Change",
        "resources": [format!("arn:aws:ssm:eu-central-1:123456789012:parameter{name}")],
        "detail": { "operation": "Update", "name": name, "type": "SecureString" },
    })
    .to_string()
}

/// Returns a sample event, by its path in the repository.
pub fn sample(path: &str) -> Value {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    serde_json::from_slice(&std::fs::read(repository.join(path)).unwrap()).unwrap()
}
