//! Redaction of a JSON value, whatever its shape.

use serde_json::{Map, Value};

use super::super::entities::looks_like_an_id;
use super::super::naming::acts_on_entities;

/// Domains of entities that no service acts on, or none of their own domain.
const OTHER_DOMAINS: [&str; 21] = [
    "ai_task",
    "air_quality",
    "alert",
    "binary_sensor",
    "conversation",
    "device_tracker",
    "event",
    "geo_location",
    "group",
    "image",
    "notify",
    "persistent_notification",
    "person",
    "plant",
    "proximity",
    "schedule",
    "sensor",
    "stt",
    "sun",
    "tts",
    "zone",
];

/// Stands in a text for an entity that the caller does not know.
const REDACTED: &str = "[redacted]";

/// Members that let whoever has them see an image without a login, for some minutes.
const CAPABILITY: &str = "access_token";

/// Members that tell who a user is: mostly the one whose token latchkey uses.
const USERS: [&str; 2] = ["user_id", "context_user_id"];

/// Takes out of a value the ids of users, tokens of cameras, and entities that the caller does not know.
///
/// A member or an item that *is* such an entity's id goes. In a longer text only the id does.
pub(super) fn redact(value: &mut Value, knows: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(members) => {
            members.remove(CAPABILITY);
            members.retain(|name, _| !is_foreign(name, knows));
            for (name, value) in members.iter_mut() {
                let is_hidden = USERS.contains(&name.as_str())
                    || value.as_str().is_some_and(|text| is_foreign(text, knows));
                match is_hidden {
                    true => *value = Value::Null,
                    false => redact(value, knows),
                }
            }
        }
        Value::Array(values) => {
            values.retain(|value| !names_foreign(value, knows));
            for value in values {
                redact(value, knows);
            }
        }
        Value::String(text) => {
            cut_capability(text);
            if let Some(redacted) = without_foreign(text, knows) {
                *text = redacted;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A JSON text without tokens of cameras, to be kept. What is not JSON is kept as it is.
pub fn without_capabilities(json: String) -> String {
    if !json.contains(CAPABILITY) && !json.contains(CAPABILITY_PARAMETER) {
        return json;
    }
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove(CAPABILITY);
                members.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            Value::String(text) => cut_capability(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    match serde_json::from_str(&json) {
        Ok(mut value) => {
            strip(&mut value);
            value.to_string()
        }
        Err(_) => json,
    }
}

/// The query of an entity's picture, which holds the same token.
const CAPABILITY_PARAMETER: &str = "?token=";

fn cut_capability(text: &mut String) {
    if text.starts_with('/')
        && let Some(at) = text.find(CAPABILITY_PARAMETER)
    {
        text.truncate(at);
    }
}

/// Whether an item of a list is about an entity that the caller does not know.
fn names_foreign(value: &Value, knows: &dyn Fn(&str) -> bool) -> bool {
    let named = |members: &Map<String, Value>| {
        let id = members.get("entity_id").and_then(Value::as_str);
        id.is_some_and(|id| is_foreign(id, knows))
    };
    match value {
        Value::String(text) => is_foreign(text, knows),
        Value::Object(members) => named(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    }
}

/// Whether a text is the id of an entity that the caller does not know.
fn is_foreign(text: &str, knows: &dyn Fn(&str) -> bool) -> bool {
    is_entity_id(text) && !knows(text)
}

fn is_entity_id(text: &str) -> bool {
    let domain = text.split_once('.').map_or("", |(domain, _)| domain);
    (acts_on_entities(domain) || OTHER_DOMAINS.contains(&domain)) && looks_like_an_id(text)
}

/// The text with each id of an entity that the caller does not know replaced; `None` if there is none.
fn without_foreign(text: &str, knows: &dyn Fn(&str) -> bool) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if !text.contains('.') {
        return None;
    }
    let mut redacted = String::new();
    let mut rest = text;
    let mut has_changed = false;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let length = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(length);
        // A full stop may end the sentence.
        let id = word.trim_end_matches('.');
        redacted.push_str(before);
        if is_foreign(id, knows) {
            has_changed = true;
            redacted.push_str(REDACTED);
            redacted.push_str(&word[id.len()..]);
        } else {
            redacted.push_str(word);
        }
        rest = after;
    }
    redacted.push_str(rest);
    has_changed.then_some(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(mut value: Value) -> Value {
        redact(&mut value, &|id| id.starts_with("light."));
        value
    }

    #[test]
    fn unknown_entities_users_and_tokens_are_taken_out() {
        for (value, expected) in [
            (
                json!({"entity_id": "light.all", "attributes": {"entity_id": ["light.a", "lock.b"]}}),
                json!({"entity_id": "light.all", "attributes": {"entity_id": ["light.a"]}}),
            ),
            (
                json!({"context": {"id": "x", "user_id": "someone", "parent_id": null}}),
                json!({"context": {"id": "x", "user_id": null, "parent_id": null}}),
            ),
            (
                json!({"source": "device_tracker.phone", "n": [1.5, true]}),
                json!({"source": null, "n": [1.5, true]}),
            ),
            (
                json!({"access_token": "t", "entity_picture": "/api/camera_proxy/light.a?token=t"}),
                json!({"entity_picture": "/api/camera_proxy/light.a"}),
            ),
            (
                json!({"message": "triggered by state of binary_sensor.door. Light light.a"}),
                json!({"message": "triggered by state of [redacted]. Light light.a"}),
            ),
            (
                json!({"lock.b": {"x": 1}, "light.a": {"x": 1}}),
                json!({"light.a": {"x": 1}}),
            ),
            (
                json!([{"entity_id": "lock.b", "name": "Front door"}, {"x": 1}]),
                json!([{"x": 1}]),
            ),
            (
                json!({"version": "v1.2", "url": "https://a.example/b.c"}),
                json!({"version": "v1.2", "url": "https://a.example/b.c"}),
            ),
        ] {
            assert_eq!(seen(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn kept_outcomes_hold_no_capabilities() {
        let kept = json!([{"result": [{"attributes": {"access_token": "canary",
            "entity_picture": "/api/camera_proxy/camera.a?token=canary"}, "context": {"user_id": "u"}}]}]);
        let kept = without_capabilities(kept.to_string());
        assert!(!kept.contains("canary"), "{kept}");
        assert!(kept.contains(r#""user_id":"u""#), "{kept}");
        let plain = r#"[{"result": 1.0}]"#;
        assert_eq!(without_capabilities(plain.to_owned()), plain);
    }

    proptest::proptest! {
        #[test]
        fn no_unknown_id_is_left_in_a_text(before in "[a-z .]{0,6}", after in "[^a-zA-Z0-9_.].{0,6}|") {
            let text = format!("{before} lock.front_door{after}");
            let shown = seen(json!({ "text": text })).to_string();
            proptest::prop_assert!(!shown.contains("lock.front_door"), "{}", shown);
        }
    }
}
