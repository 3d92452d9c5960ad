//! Redacts a JSON value of any shape.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::super::entities::{looks_like_an_id, normal};
use super::super::naming::acts_on_entities;
use crate::base::json::unambiguous;

/// Domains of entities on which no service acts, or on which only services of other domains act.
const OTHER_DOMAINS: [&str; 27] = [
    "ai_task",
    "air_quality",
    "alert",
    "binary_sensor",
    "configurator",
    "conversation",
    "device_tracker",
    "dominos",
    "event",
    "geo_location",
    "group",
    "image",
    "microsoft_face",
    "notify",
    "persistent_notification",
    "person",
    "plant",
    "proximity",
    "remember_the_milk",
    "schedule",
    "sensor",
    "stt",
    "sun",
    "tag",
    "tts",
    "wake_word",
    "zone",
];

/// The replacement for the id of an entity that the caller does not know.
const REDACTED: &str = "[redacted]";

/// The member with a camera's access token. The token gives access to an image without a login, for some minutes.
const CAPABILITY: &str = "access_token";

/// Members with the id of a user. In most cases this is the user whose token latchkey uses.
const USERS: [&str; 2] = ["user_id", "context_user_id"];

/// Removes the ids of users, camera access tokens, and entities that the caller does not know from a value.
///
/// A list item that is such an entity id is removed. A member is removed if its name contains such an id. A member
/// whose value is such an id becomes null. In a longer text, only the id is replaced.
pub(super) fn redact(value: &mut Value, knows: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(members) => {
            members.remove(CAPABILITY);
            members.retain(|name, _| without_foreign(name, knows).is_none());
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

/// Removes camera access tokens from a JSON text that will be stored. Returns `None` if the text is not JSON.
pub fn without_capabilities(json: &str) -> Option<String> {
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
    if [CAPABILITY]
        .iter()
        .chain(&CAPABILITY_PARAMETERS)
        .all(|name| !json.contains(name))
    {
        return Some(json.to_owned());
    }
    let mut value = unambiguous(json).ok()?;
    strip(&mut value);
    Some(value.to_string())
}

/// Query parameters that give a URL access without a login.
const CAPABILITY_PARAMETERS: [&str; 2] = ["token=", "authSig="];

/// Removes the query of a URL if it contains such a parameter.
fn cut_capability(text: &mut String) {
    let Some((_, query)) = text.split_once('?') else {
        return;
    };
    let at = text.len() - query.len() - 1;
    if CAPABILITY_PARAMETERS
        .iter()
        .any(|name| query.contains(name))
    {
        text.truncate(at);
    }
}

/// Returns true if a list item is, or describes, an entity that the caller does not know.
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

/// Returns true if a text is the id of an entity that the caller does not know.
fn is_foreign(text: &str, knows: &dyn Fn(&str) -> bool) -> bool {
    let id = normal(text);
    is_entity_id(&id) && !knows(&id)
}

fn is_entity_id(text: &str) -> bool {
    let domain = text.split_once('.').map_or("", |(domain, _)| domain);
    (acts_on_entities(domain) || OTHER_DOMAINS.contains(&domain)) && looks_like_an_id(text)
}

/// The maximum number of times that a text is decoded in search of an id. An encoded address within an encoded address
/// needs two.
const MOST_ENCODINGS: usize = 4;

/// Replaces each id of an entity that the caller does not know. Returns `None` if the text contains no such id.
fn without_foreign(text: &str, knows: &dyn Fn(&str) -> bool) -> Option<String> {
    match may_hide_foreign(text, knows) {
        true => Some(REDACTED.to_owned()),
        false => without_plain_foreign(text, knows),
    }
}

/// Returns true if a percent-encoded text contains such an id, or if the text is encoded too many times to check.
fn may_hide_foreign(text: &str, knows: &dyn Fn(&str) -> bool) -> bool {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MOST_ENCODINGS {
        let Some(decoded) = decoded(&text) else {
            return false;
        };
        if without_plain_foreign(&decoded, knows).is_some() {
            return true;
        }
        text = Cow::Owned(decoded);
    }
    decoded(&text).is_some()
}

/// Decodes a text once. Returns `None` if it is not percent-encoded. Invalid UTF-8 is replaced, so that the rest of the
/// text is still checked.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    (decoded != text).then(|| decoded.into_owned())
}

/// Replaces each unencoded id of an entity that the caller does not know. Returns `None` if the text contains no such
/// id.
fn without_plain_foreign(text: &str, knows: &dyn Fn(&str) -> bool) -> Option<String> {
    if !text.contains('.') {
        return None;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut redacted = String::new();
    let mut rest = text;
    let mut has_changed = false;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        redacted.push_str(before);
        let end = |text: &str| text.find(|c| !is_part(c)).unwrap_or(text.len());
        let domain = end(from);
        // An id is two words with a dot between them. The characters around it are not relevant, even if one is a dot.
        let name = from[domain..].strip_prefix('.').map_or(0, end);
        let length = domain + 1 + name;
        if name > 0 && is_foreign(&from[..length], knows) {
            has_changed = true;
            redacted.push_str(REDACTED);
            rest = &from[length..];
        } else {
            redacted.push_str(&from[..domain]);
            rest = &from[domain..];
        }
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
    fn redact_removes_unknown_entities_users_and_tokens() {
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
            (
                json!({"a": "{{ states.lock.front_door.state }}", "b": "..lock.front_door", "c": "lock.front_door.jpg",
                    "d": "a.lock.front_door", "e": "x light.a.jpg", "f": "LOCK.FRONT_DOOR!"}),
                json!({"a": "{{ states.[redacted].state }}", "b": "..[redacted]", "c": "[redacted].jpg",
                    "d": "a.[redacted]", "e": "x light.a.jpg", "f": "[redacted]!"}),
            ),
            (
                json!({"a": "LOCK.B", "b": "lock%2Efront_door", "c": ["PERSON.ann", "LIGHT.A"]}),
                json!({"a": null, "b": "[redacted]", "c": ["LIGHT.A"]}),
            ),
            (
                json!({"lock.front_door state": 1, "/api/camera_proxy/camera.a": 2, "LOCK.A": 3, "light.a x": 4}),
                json!({"light.a x": 4}),
            ),
            (
                json!({"a": "https://ha.example/api/camera_proxy/light.a?token=t", "b": "/x?y=1&token=t",
                    "c": "/media/x.mp3?authSig=t", "d": "/x?y=1", "e": "what? token=none"}),
                json!({"a": "https://ha.example/api/camera_proxy/light.a", "b": "/x",
                    "c": "/media/x.mp3", "d": "/x?y=1", "e": "what"}),
            ),
        ] {
            assert_eq!(seen(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn without_capabilities_removes_camera_tokens() {
        let kept = json!([{"result": [{"attributes": {"access_token": "canary",
            "entity_picture": "/api/camera_proxy/camera.a?token=canary"}, "context": {"user_id": "u"}}]}]);
        let kept = without_capabilities(&kept.to_string()).unwrap();
        assert!(!kept.contains("canary"), "{kept}");
        assert!(kept.contains(r#""user_id":"u""#), "{kept}");
        let plain = r#"[{"result": 1.0}]"#;
        assert_eq!(without_capabilities(plain).unwrap(), plain);
        // A text that is not JSON is not stored.
        assert_eq!(without_capabilities(r#"{"access_token":"#), None);
    }

    #[test]
    fn redact_decodes_a_text_at_most_four_times() {
        let encoded = |text: &str, times: usize| {
            (0..times).fold(text.to_owned(), |text, _| text.replace('%', "%25"))
        };
        for (text, expected) in [
            (format!("%{}", "25".repeat(500_000)), REDACTED.to_owned()),
            (encoded("lock%2Efront_door", 3), REDACTED.to_owned()),
            // A text with more encodings is not checked, so it is not shown.
            (encoded("lock%2Efront_door", 4), REDACTED.to_owned()),
            (encoded("light%2Ea", 4), REDACTED.to_owned()),
            (encoded("light%2Ea", 3), encoded("light%2Ea", 3)),
            // The decoded bytes need not be valid UTF-8.
            ("lock%2Efront_door %FF".to_owned(), REDACTED.to_owned()),
            ("light%2Ea %FF".to_owned(), "light%2Ea %FF".to_owned()),
            ("100 %, 50%".to_owned(), "100 %, 50%".to_owned()),
        ] {
            let shown = seen(json!({ "a": text }));
            assert!(shown == json!({ "a": expected }), "{text:.40}");
        }
    }

    proptest::proptest! {
        #[test]
        fn redacted_text_contains_no_unknown_id(
            before in "(.{0,6}[^a-zA-Z0-9_])?",
            after in "([^a-zA-Z0-9_].{0,6})?",
        ) {
            let text = format!("{before}lock.front_door{after}");
            let shown = seen(json!({ "text": text })).to_string();
            proptest::prop_assert!(!shown.contains("lock.front_door"), "{}", shown);
        }
    }
}
