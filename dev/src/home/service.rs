//! The services of the home: their names, their data and their effects.

use serde_json::{Map, Value, json};

use super::{
    counters::ServiceCall,
    entity::{Entities, belongs_to},
};

const TARGET_FIELDS: [&str; 5] = ["entity_id", "device_id", "area_id", "floor_id", "label_id"];

const LIGHT_FIELDS: &[&str] = &[
    "brightness",
    "brightness_pct",
    "brightness_step",
    "brightness_step_pct",
    "color_name",
    "color_temp_kelvin",
    "effect",
    "flash",
    "hs_color",
    "profile",
    "rgb_color",
    "rgbw_color",
    "rgbww_color",
    "transition",
    "white",
    "xy_color",
];

/// A service of the home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    domain: &'static str,
    name: &'static str,
    fields: &'static [&'static str],
    effect: Effect,
}

#[derive(Clone, Copy, Debug)]
enum Effect {
    Become(&'static str),
    Toggle,
    Nothing,
}

const fn service(
    domain: &'static str,
    name: &'static str,
    fields: &'static [&'static str],
    effect: Effect,
) -> Service {
    Service {
        domain,
        name,
        fields,
        effect,
    }
}

const SERVICES: &[Service] = &[
    service("cover", "close_cover", &[], Effect::Become("closed")),
    service("cover", "open_cover", &[], Effect::Become("open")),
    service("cover", "stop_cover", &[], Effect::Nothing),
    service("cover", "toggle", &[], Effect::Toggle),
    service("homeassistant", "toggle", &[], Effect::Toggle),
    service("homeassistant", "turn_off", &[], Effect::Become("off")),
    service("homeassistant", "turn_on", &[], Effect::Become("on")),
    service("light", "toggle", LIGHT_FIELDS, Effect::Toggle),
    service(
        "light",
        "turn_off",
        &["flash", "transition"],
        Effect::Become("off"),
    ),
    service("light", "turn_on", LIGHT_FIELDS, Effect::Become("on")),
    service("lock", "lock", &["code"], Effect::Become("locked")),
    service("lock", "open", &["code"], Effect::Become("open")),
    service("lock", "unlock", &["code"], Effect::Become("unlocked")),
    service("switch", "toggle", &[], Effect::Toggle),
    service("switch", "turn_off", &[], Effect::Become("off")),
    service("switch", "turn_on", &[], Effect::Become("on")),
];

impl Service {
    pub(super) fn find(domain: &str, name: &str) -> Option<Self> {
        SERVICES
            .iter()
            .find(|service| service.domain == domain && service.name == name)
            .copied()
    }

    /// Returns the state of an entity after this service.
    fn next_state<'a>(&self, entity_id: &str, state: &'a str) -> &'a str {
        match self.effect {
            Effect::Become(state) => state,
            Effect::Nothing => state,
            Effect::Toggle if entity_id.starts_with("cover.") => match state {
                "open" => "closed",
                _ => "open",
            },
            Effect::Toggle => match state {
                "on" => "off",
                _ => "on",
            },
        }
    }

    /// Checks data and target as Home Assistant's schema does.
    ///
    /// # Errors
    /// Home Assistant's message for `invalid_format`.
    pub(super) fn check(
        &self,
        data: Option<&Value>,
        target: Option<&Value>,
        entities: &Entities,
    ) -> Result<ServiceCall, String> {
        let mut merged = Map::new();
        for part in [data, target].into_iter().flatten() {
            let fields = part.as_object().ok_or("expected a dictionary")?;
            merged.extend(
                fields
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        if let Some(unknown) = merged.keys().find(|key| {
            !TARGET_FIELDS.contains(&key.as_str()) && !self.fields.contains(&key.as_str())
        }) {
            return Err(format!("extra keys not allowed @ data['{unknown}']"));
        }
        if !merged
            .keys()
            .any(|key| TARGET_FIELDS.contains(&key.as_str()))
        {
            return Err(format!(
                "must contain at least one of {}.",
                TARGET_FIELDS.join(", ")
            ));
        }
        let entity_ids = match merged.get("entity_id") {
            Some(entity_id) => self.entity_ids(entity_id, entities)?,
            None => Vec::new(),
        };
        Ok(ServiceCall {
            domain: self.domain.to_owned(),
            service: self.name.to_owned(),
            entity_ids,
            data: Value::Object(merged),
        })
    }

    /// Runs the service on the targets of a call, and returns the events. As in Home Assistant, unknown entities and
    /// entities of another domain are skipped.
    pub(super) fn run(
        &self,
        call: &ServiceCall,
        entities: &mut Entities,
        context: &Value,
    ) -> Vec<Value> {
        call.entity_ids
            .iter()
            .filter(|id| call.domain == "homeassistant" || belongs_to(id, &call.domain))
            .filter_map(|entity_id| {
                let state = entities.state(entity_id)?;
                let state = self.next_state(entity_id, &state);
                entities.set_state(entity_id, state, context)
            })
            .collect()
    }

    fn entity_ids(&self, value: &Value, entities: &Entities) -> Result<Vec<String>, String> {
        let named: Vec<String> = match value {
            Value::String(one) if one == "none" => return Ok(Vec::new()),
            Value::String(one) if one == "all" => return Ok(entities.all_of(self.domain)),
            Value::String(some) => some.split(',').map(|id| id.trim().to_lowercase()).collect(),
            Value::Array(many) => many
                .iter()
                .map(|id| id.as_str().unwrap_or_default().to_lowercase())
                .collect(),
            _ => vec![String::new()],
        };
        match named.iter().find(|id| !is_entity_id(id)) {
            Some(wrong) => Err(format!(
                "not a valid value for dictionary value @ data['entity_id']. \
                 Entity ID {wrong} is an invalid entity ID"
            )),
            None => Ok(named),
        }
    }
}

/// Returns the result of `get_services`.
pub(super) fn services_json() -> Value {
    let mut domains = Map::new();
    for service in SERVICES {
        let fields: Map<String, Value> = service
            .fields
            .iter()
            .map(|field| ((*field).to_owned(), json!({})))
            .collect();
        let described = json!({
            "name": service.name,
            "description": "",
            "fields": fields,
            "target": {"entity": [{"domain": [service.domain]}]},
        });
        if let Value::Object(domain) = domains
            .entry(service.domain)
            .or_insert_with(|| Value::Object(Map::new()))
        {
            domain.insert(service.name.to_owned(), described);
        }
    }
    Value::Object(domains)
}

fn is_entity_id(id: &str) -> bool {
    let is_slug = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && !part.starts_with('_')
            && !part.ends_with('_')
    };
    id.split_once('.')
        .is_some_and(|(domain, object)| is_slug(domain) && is_slug(object))
}
