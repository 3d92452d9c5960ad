//! The entities of the home.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::context::{self, timestamp};

/// The bytes of attribute text in one filler sensor.
const FILLER_TEXT_BYTES: usize = 900;

#[derive(Clone, Debug)]
struct Entity {
    state: String,
    attributes: Map<String, Value>,
    changed_at: String,
    context: Value,
}

impl Entity {
    fn to_json(&self, entity_id: &str) -> Value {
        json!({
            "entity_id": entity_id,
            "state": self.state,
            "attributes": self.attributes,
            "last_changed": self.changed_at,
            "last_reported": self.changed_at,
            "last_updated": self.changed_at,
            "context": self.context,
        })
    }
}

/// All entities of the home by id.
#[derive(Debug)]
pub(super) struct Entities {
    entities: BTreeMap<String, Entity>,
    /// Filler sensors as JSON, each preceded by a comma. The text is made once, because no service changes these
    /// sensors.
    filler: String,
}

impl Entities {
    pub(super) fn new(states_bytes: Option<usize>) -> Self {
        let mut entities = Self {
            entities: BTreeMap::new(),
            filler: String::new(),
        };
        for (entity_id, state, friendly_name) in [
            ("light.kitchen", "off", "Kitchen light"),
            ("light.living_room", "on", "Living room light"),
            ("light.bedroom", "off", "Bedroom light"),
            ("switch.coffee_machine", "off", "Coffee machine"),
            ("switch.garden_pump", "on", "Garden pump"),
            ("lock.front_door", "locked", "Front door"),
            ("lock.back_door", "unlocked", "Back door"),
            ("cover.garage_door", "closed", "Garage door"),
            ("cover.bedroom_blinds", "open", "Bedroom blinds"),
            ("sensor.outdoor_temperature", "11.5", "Outdoor temperature"),
            ("binary_sensor.front_door", "off", "Front door contact"),
        ] {
            entities.put(entity_id, state, friendly_name);
        }
        if let Some(states_bytes) = states_bytes {
            entities.fill(states_bytes);
        }
        entities
    }

    fn put(&mut self, entity_id: &str, state: &str, friendly_name: &str) {
        let mut attributes = Map::new();
        attributes.insert("friendly_name".to_owned(), json!(friendly_name));
        self.entities.insert(
            entity_id.to_owned(),
            Entity {
                state: state.to_owned(),
                attributes,
                changed_at: timestamp(),
                context: context::new(),
            },
        );
    }

    fn fill(&mut self, states_bytes: usize) {
        let missing = states_bytes.saturating_sub(self.states_json().len());
        let changed_at = timestamp();
        let context = context::new();
        let text = "x".repeat(FILLER_TEXT_BYTES);
        let mut filler = String::with_capacity(missing + 2 * FILLER_TEXT_BYTES);
        let mut number = 0_u32;
        while filler.len() < missing {
            let sensor = json!({
                "entity_id": format!("sensor.filler_{number}"),
                "state": "0",
                "attributes": {"filler": text},
                "last_changed": changed_at,
                "last_reported": changed_at,
                "last_updated": changed_at,
                "context": context,
            });
            filler.push(',');
            filler.push_str(&sensor.to_string());
            number += 1;
        }
        self.filler = filler;
    }

    /// Returns the result of `get_states`.
    pub(super) fn states_json(&self) -> String {
        let mut states = String::with_capacity(self.filler.len() + 4096);
        states.push('[');
        for (entity_id, entity) in &self.entities {
            if states.len() > 1 {
                states.push(',');
            }
            states.push_str(&entity.to_json(entity_id).to_string());
        }
        states.push_str(&self.filler);
        states.push(']');
        states
    }

    pub(super) fn state_json(&self, entity_id: &str) -> Option<Value> {
        self.entities
            .get(entity_id)
            .map(|entity| entity.to_json(entity_id))
    }

    pub(super) fn state(&self, entity_id: &str) -> Option<String> {
        self.entities
            .get(entity_id)
            .map(|entity| entity.state.clone())
    }

    /// Sets a state as an integration would. Returns the event, or none if the state is unchanged.
    pub(super) fn set_state(
        &mut self,
        entity_id: &str,
        state: &str,
        context: &Value,
    ) -> Option<Value> {
        let old = self.state_json(entity_id);
        if old.is_none() {
            self.put(entity_id, "unknown", entity_id);
        }
        let entity = self.entities.get_mut(entity_id)?;
        if old.is_some() && entity.state == state {
            return None;
        }
        state.clone_into(&mut entity.state);
        entity.changed_at = timestamp();
        entity.context = context.clone();
        Some(json!({
            "event_type": "state_changed",
            "data": {
                "entity_id": entity_id,
                "old_state": old,
                "new_state": entity.to_json(entity_id),
            },
            "origin": "LOCAL",
            "time_fired": entity.changed_at,
            "context": context,
        }))
    }

    /// Returns the ids that `entity_id: all` stands for.
    pub(super) fn all_of(&self, domain: &str) -> Vec<String> {
        self.entities
            .keys()
            .filter(|entity_id| belongs_to(entity_id, domain))
            .cloned()
            .collect()
    }
}

/// Returns true if the entity is of this domain.
pub(super) fn belongs_to(entity_id: &str, domain: &str) -> bool {
    entity_id
        .split_once('.')
        .is_some_and(|(of, _)| of == domain)
}
