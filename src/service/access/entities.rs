//! Finds the entities that a service call targets, in all places where Home Assistant accepts their ids.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::naming::{Naming, acts_on_more, naming};

/// The targets of a service call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    /// The ids of the named entities, normalised like in Home Assistant.
    pub(super) entities: BTreeSet<String>,
    /// True if the call may target other entities as well: by area, device, label, floor, `all` or template, or because
    /// it names no entity.
    pub(super) is_open: bool,
}

/// Members whose entities only the home knows.
const OPEN_MEMBERS: [&str; 5] = ["area_id", "device_id", "device_ids", "floor_id", "label_id"];

/// Members that name the targets of a call. `entities` holds the entities of a scene or a group.
const NAMING_MEMBERS: [&str; 2] = ["entity_id", "entities"];

/// Returns the targets of a service call. `parts` are its target and its data, which Home Assistant merges.
///
/// Services name entities in `entity_id` and in members of their own. [`naming`] lists the known members. In all other
/// members, each text that has the format of an entity id counts as a target.
pub(super) fn targets<'a>(
    domain: &str,
    service: &str,
    parts: impl IntoIterator<Item = Option<&'a Value>>,
) -> Targets {
    let mut found = Targets {
        entities: BTreeSet::new(),
        is_open: acts_on_more(domain, service),
    };
    let mut names_something = false;
    for part in parts.into_iter().flatten() {
        match part {
            Value::Object(members) => {
                names_something |= NAMING_MEMBERS
                    .iter()
                    .any(|name| members.contains_key(*name));
                for (name, value) in members {
                    let naming = naming(domain, service, name);
                    names_something |= matches!(naming, Some(Naming::ObjectId(_)));
                    found.member(name, value, naming);
                }
            }
            Value::Null => {}
            _ => found.is_open = true,
        }
    }
    // A call without a naming member can target any entity, even if a text in it has the format of an entity id.
    found.is_open |= !names_something || found.entities.is_empty();
    found
}

impl Targets {
    fn member(&mut self, name: &str, value: &Value, naming: Option<Naming>) {
        if name == "entity_id" {
            self.entity_ids(value);
        } else if OPEN_MEMBERS.contains(&name) {
            self.is_open |= !is_empty(value);
        } else {
            match naming {
                Some(Naming::ObjectId(domain)) => self.object_id(domain, value),
                Some(Naming::EntityIds) => self.entity_ids(value),
                Some(Naming::Unknown) => self.is_open |= !is_empty(value),
                None => {
                    self.maybe_an_id(name);
                    self.anything(value);
                }
            }
        }
    }

    /// Adds the entity with an object id, the part of an entity id after the dot. Home Assistant also accepts numbers.
    fn object_id(&mut self, domain: &str, value: &Value) {
        let name = match value {
            Value::String(text) => text.to_lowercase(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
        };
        let id = format!("{domain}.{name}");
        if looks_like_an_id(&id) {
            self.entities.insert(id);
        } else {
            self.is_open = true;
        }
    }

    /// Adds the entities of a value of `entity_id`: an id, several ids with commas, or a list of these.
    fn entity_ids(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                for id in text.split(',').map(normal).filter(|id| !id.is_empty()) {
                    // Any other text is `all`, `none`, a registry id or a template.
                    if looks_like_an_id(&id) {
                        self.entities.insert(id);
                    } else {
                        self.is_open = true;
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.entity_ids(value)),
            Value::Null => {}
            _ => self.is_open = true,
        }
    }

    fn anything(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.is_open |= ["{{", "{%", "{#"].iter().any(|sign| text.contains(sign));
                self.address(text);
                text.split(',').for_each(|part| self.maybe_an_id(part));
            }
            Value::Array(values) => values.iter().for_each(|value| self.anything(value)),
            Value::Object(members) => {
                for (name, value) in members {
                    self.member(name, value, None);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Adds the entity of an address within the home, such as `media-source://camera/camera.a` or
    /// `/api/camera_proxy/camera.a`. A media player that plays the address shows the entity.
    fn address(&mut self, text: &str) {
        if !["%", "/api/", "media-source:"]
            .iter()
            .any(|sign| text.contains(sign))
        {
            return;
        }
        let mut decoded = text.to_owned();
        // A text can be percent-encoded twice: the player decodes it once, and the home decodes it again.
        for _ in 0..2 {
            decoded = percent_decode_str(&decoded)
                .decode_utf8_lossy()
                .into_owned();
        }
        if let Some(source) = decoded.split("media-source:").nth(1) {
            let source = source.trim_start_matches('/');
            let (kind, identifier) = source.split_once('/').unwrap_or((source, ""));
            match kind {
                "media_source" | "radio_browser" => {}
                "camera" | "image" if looks_like_an_id(identifier) => self.maybe_an_id(identifier),
                "tts" => {
                    let engine = identifier.split('?').next().unwrap_or_default();
                    self.maybe_an_id(engine);
                }
                // A directory of media, or recordings of a camera by an internal number.
                _ => self.is_open = true,
            }
        }
        if decoded.contains("/api/") {
            let is_of_an_id = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            decoded
                .split(|c| !is_of_an_id(c))
                .for_each(|piece| self.maybe_an_id(piece));
        }
    }

    fn maybe_an_id(&mut self, text: &str) {
        // Lower case comes first: it turns some characters into ASCII, such as the Kelvin sign.
        let id = normal(text);
        if looks_like_an_id(&id) {
            self.entities.insert(id);
        }
    }
}

/// Normalises an id like Home Assistant: trims white space and converts the id to lower case.
pub(super) fn normal(id: &str) -> String {
    // Python treats four more characters as white space than Rust.
    let is_blank = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    id.trim_matches(is_blank).to_lowercase()
}

/// Returns true if a text has the format of an entity id: `<domain>.<name>`.
pub(super) fn looks_like_an_id(text: &str) -> bool {
    let is_slug = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match text.split_once('.') {
        Some((domain, name)) => {
            is_slug(domain)
                && is_slug(name)
                && domain.starts_with(|c: char| c.is_ascii_alphabetic())
        }
        None => false,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_finds_ids_in_all_places_that_home_assistant_accepts() {
        for (target, data, entities, is_open) in [
            (
                json!({"entity_id": "light.a"}),
                json!({}),
                vec!["light.a"],
                false,
            ),
            (
                json!({"entity_id": ["light.a", "light.b"]}),
                json!({"brightness": 5}),
                vec!["light.a", "light.b"],
                false,
            ),
            (
                json!({"entity_id": " Light.A , light.b"}),
                Value::Null,
                vec!["light.a", "light.b"],
                false,
            ),
            (
                Value::Null,
                json!({"entity_id": "light.a"}),
                vec!["light.a"],
                false,
            ),
            (
                json!({"entity_id": "light.a"}),
                json!({"entity_id": "lock.b"}),
                vec!["light.a", "lock.b"],
                false,
            ),
            (json!({"entity_id": "all"}), Value::Null, vec![], true),
            (
                json!({"entity_id": ["light.a", "all"]}),
                Value::Null,
                vec!["light.a"],
                true,
            ),
            (
                json!({"entity_id": "light.a", "area_id": "kitchen"}),
                Value::Null,
                vec!["light.a"],
                true,
            ),
            (
                json!({"entity_id": "light.a", "area_id": []}),
                Value::Null,
                vec!["light.a"],
                false,
            ),
            (json!({"device_id": "0123"}), Value::Null, vec![], true),
            (json!({"label_id": ["x"]}), Value::Null, vec![], true),
            (json!({"floor_id": "x"}), Value::Null, vec![], true),
            // The registry id of an entity.
            (
                json!({"entity_id": "0123456789abcdef0123456789abcdef"}),
                Value::Null,
                vec![],
                true,
            ),
            (Value::Null, Value::Null, vec![], true),
            (json!({}), json!({"message": "hello"}), vec![], true),
            (
                json!({"entity_id": "light.a"}),
                json!({"entities": {"lock.front": "unlocked"}}),
                vec!["light.a", "lock.front"],
                false,
            ),
            (
                json!({"entity_id": "media_player.a"}),
                json!({"group_members": ["media_player.b"]}),
                vec!["media_player.a", "media_player.b"],
                false,
            ),
            (
                json!({"entity_id": "light.a"}),
                json!({"x": {"y": [{"entity_id": "lock.b"}]}}),
                vec!["light.a", "lock.b"],
                false,
            ),
            (
                json!({"entity_id": "{{ states.light }}"}),
                Value::Null,
                vec![],
                true,
            ),
            (
                json!({"entity_id": "light.a"}),
                json!({"x": "{{ 1 }}"}),
                vec!["light.a"],
                true,
            ),
            (json!(["light.a"]), Value::Null, vec![], true),
            (json!({"entity_id": 5}), Value::Null, vec![], true),
        ] {
            let found = targets("light", "turn_on", [Some(&target), Some(&data)]);
            let expected = Targets {
                entities: entities.into_iter().map(str::to_owned).collect(),
                is_open,
            };
            assert_eq!(found, expected, "{target} {data}");
        }
    }
}
