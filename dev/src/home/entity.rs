//! The home's entities and what its services do to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{counters::ServiceCall, service::Service, token::hex};

/// Bytes of attribute text in one filler sensor.
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

/// Every entity of the home by id.
#[derive(Debug)]
pub(super) struct Entities {
    entities: BTreeMap<String, Entity>,
    /// Filler sensors as JSON, each preceded by a comma: made once, as no service changes them.
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
                context: context(),
            },
        );
    }

    fn fill(&mut self, states_bytes: usize) {
        let missing = states_bytes.saturating_sub(self.states_json().len());
        let changed_at = timestamp();
        let context = context();
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

    /// What `get_states` answers.
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

    /// Sets a state as an integration would, and says what to tell those who listen.
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

    /// Runs a service on its targets. Like Home Assistant it passes over entities it does not
    /// know or of another domain.
    pub(super) fn run(
        &mut self,
        service: Service,
        call: &ServiceCall,
        context: &Value,
    ) -> Vec<Value> {
        call.entity_ids
            .iter()
            .filter(|id| call.domain == "homeassistant" || belongs_to(id, &call.domain))
            .filter_map(|entity_id| {
                let state = self.entities.get(entity_id)?.state.clone();
                let state = service.next_state(entity_id, &state);
                self.set_state(entity_id, state, context)
            })
            .collect()
    }

    /// The ids `entity_id: all` stands for.
    pub(super) fn all_of(&self, domain: &str) -> Vec<String> {
        self.entities
            .keys()
            .filter(|entity_id| belongs_to(entity_id, domain))
            .cloned()
            .collect()
    }
}

fn belongs_to(entity_id: &str, domain: &str) -> bool {
    entity_id
        .split_once('.')
        .is_some_and(|(of, _)| of == domain)
}

/// A context, as every state and event has one.
pub(super) fn context() -> Value {
    json!({"id": hex(13).to_uppercase(), "parent_id": null, "user_id": hex(16)})
}

/// Now, as Home Assistant writes it.
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
