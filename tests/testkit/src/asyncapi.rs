//! Checks messages of WebSocket connections against the AsyncAPI document.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/doors/http/asyncapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

/// Returns an error if a frame for a client matches no message of the document. A frame may be an array of messages.
pub fn check_frame(frame: &Value) -> Result<(), String> {
    match frame.as_array() {
        Some(frames) => frames.iter().try_for_each(check_frame),
        None => check(frame, &["send"]),
    }
}

/// Returns an error if a message of either direction matches no message of the document.
pub fn check_message(message: &Value) -> Result<(), String> {
    check(message, &["send", "receive"])
}

fn check(message: &Value, operations: &[&str]) -> Result<(), String> {
    let mut faults = Vec::new();
    for operation in operations {
        let messages = DOCUMENT["operations"][operation]["messages"]
            .as_array()
            .unwrap();
        for reference in messages {
            let name = reference["$ref"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap();
            let payload = &DOCUMENT["components"]["messages"][name]["payload"];
            match matches(message, payload) {
                Ok(()) => return Ok(()),
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
    }
    Err(format!("{message} is not a message: {}", faults.join("; ")))
}

/// Checks a value against a schema. Supports the keywords that the document uses, and no other.
fn matches(value: &Value, schema: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is(value, kind)),
                kind => is(value, kind),
            },
            "minimum" => value.as_f64() >= rule.as_f64(),
            "required" => {
                let names = rule.as_array().unwrap();
                names
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        matches(value, rule).map_err(|fault| format!("{name}: {fault}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                let is_known = |name: &String| known.contains_key(name);
                rule == true || value.as_object().is_none_or(|it| it.keys().all(is_known))
            }
            "oneOf" => {
                let schemas = rule.as_array().unwrap();
                schemas
                    .iter()
                    .filter(|schema| matches(value, schema).is_ok())
                    .count()
                    == 1
            }
            "items" => {
                let values = value.as_array().into_iter().flatten();
                values.into_iter().all(|value| matches(value, rule).is_ok())
            }
            "minItems" => value.as_array().map(Vec::len) >= rule.as_u64().map(|it| it as usize),
            "maxItems" => value.as_array().map(Vec::len) <= rule.as_u64().map(|it| it as usize),
            "minLength" => value.as_str().map(str::len) >= rule.as_u64().map(|it| it as usize),
            "maxLength" => value.as_str().map(str::len) <= rule.as_u64().map(|it| it as usize),
            "format" => true,
            other => panic!("the check does not support the keyword {other}"),
        };
        if !holds {
            return Err(format!("`{keyword}` {rule} does not hold"));
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}
