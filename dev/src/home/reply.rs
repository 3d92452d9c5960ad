//! The reply to a command, and the checks of a command's fields.

use serde_json::{Value, json};

/// The error of a command.
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The placeholders for a translation, which Home Assistant adds for an unknown service.
    pub(super) translation: Option<Value>,
}

impl Refused {
    /// Creates an error without placeholders.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            translation: None,
        }
    }
}

/// Rejects a command with other fields than these.
pub(super) fn only(command: &Value, fields: &[&str]) -> Result<(), Refused> {
    let unknown = command
        .as_object()
        .into_iter()
        .flat_map(|command| command.keys())
        .find(|key| !["id", "type"].contains(&key.as_str()) && !fields.contains(&key.as_str()));
    match unknown {
        Some(key) => {
            let value = &command[key.as_str()];
            let message = format!("extra keys not allowed @ data['{key}']. Got {value}");
            Err(Refused::new("invalid_format", message))
        }
        None => Ok(()),
    }
}

/// Reads a required field.
pub(super) fn required<'a, T>(
    command: &'a Value,
    field: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<T, Refused> {
    let value = command.get(field).unwrap_or(&Value::Null);
    read(value).ok_or_else(|| {
        let message = if value.is_null() {
            format!("required key not provided @ data['{field}']. Got None")
        } else {
            format!("not a valid value for dictionary value @ data['{field}']. Got {value}")
        };
        Refused::new("invalid_format", message)
    })
}

/// Returns a reply with this result, which is JSON text.
pub(super) fn success(id: u64, result: &str) -> String {
    format!(r#"{{"id":{id},"type":"result","success":true,"result":{result}}}"#)
}

/// Returns a reply with this error.
pub(super) fn error(id: &Value, refused: &Refused) -> String {
    let mut error = json!({"code": refused.code, "message": refused.message});
    if let Some(placeholders) = &refused.translation {
        error["translation_key"] = json!("service_not_found");
        error["translation_placeholders"] = placeholders.clone();
        error["translation_domain"] = json!("homeassistant");
    }
    json!({"id": id, "type": "result", "success": false, "error": error}).to_string()
}
