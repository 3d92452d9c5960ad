//! Random callers with few permissions.

use fastrand::Rng;
use serde_json::json;
use testkit::callers::token;

/// Entities that callers may get a permission to call or to read. All other entities are foreign to every caller.
pub(super) const OWN: [&str; 14] = [
    "light.kitchen_lights",
    "light.bed_light",
    "switch.decorative_lights",
    "cover.kitchen_window",
    "fan.living_room_fan",
    "media_player.bedroom",
    "climate.hvac",
    "number.volume",
    "select.speed",
    "group.worktop",
    "scene.cooking",
    "script.cooking",
    "input_boolean.guest_mode",
    "lock.kitchen_door",
];

/// Entities that callers may get only a permission to read.
const READ_ONLY: [&str; 5] = [
    "camera.demo_camera",
    "sensor.outside_temperature",
    "calendar.calendar_1",
    "binary_sensor.basement_floor_wet",
    "weather.demo_weather_south",
];

/// Patterns that match entities of [`OWN`] and do not match other entities of the home.
const PATTERNS: [&str; 3] = ["light.kitchen_*", "switch.decorative*", "script.cook*"];

const SERVICES: [&str; 18] = [
    "*",
    "*",
    "*.*",
    "light.*",
    "*.turn_on",
    "homeassistant.*",
    "scene.*",
    "scene.*",
    "group.*",
    "group.*",
    "script.*",
    "media_player.*",
    "device_tracker.*",
    "notify.*",
    "logbook.*",
    "tts.*",
    "conversation.*",
    "input_boolean.*",
];

/// The number of subjects. Tokens with different permissions share a subject and its idempotency keys.
pub(super) const SUBJECTS: usize = 6;

/// A caller.
pub(super) struct Person {
    pub(super) subject: usize,
    pub(super) is_admin: bool,
    pub(super) token: String,
    pub(super) permissions: Vec<String>,
    /// The entities that the permissions name without a pattern.
    pub(super) entities: Vec<String>,
    reads: Vec<String>,
    calls: Vec<String>,
}

impl Person {
    fn new(subject: usize, permissions: Vec<String>) -> Self {
        let given: Vec<&str> = permissions.iter().map(String::as_str).collect();
        let patterns = |kind: &str| {
            let those = permissions.iter().filter(|text| text.starts_with(kind));
            those
                .filter_map(|text| text.rsplit_once(':'))
                .map(|(_, pattern)| pattern.to_owned())
                .collect()
        };
        Self {
            subject,
            is_admin: permissions.iter().any(|text| text == "admin"),
            token: token(&given, &json!({ "sub": format!("person-{subject}") })),
            entities: permissions
                .iter()
                .filter_map(|text| text.rsplit_once(':'))
                .map(|(_, pattern)| pattern.to_owned())
                .filter(|pattern| !pattern.contains('*'))
                .collect(),
            reads: patterns("read:"),
            calls: patterns("call:"),
            permissions,
        }
    }

    pub(super) fn admin(subject: usize) -> Self {
        Self::new(subject, vec!["admin".into()])
    }

    pub(super) fn random(subject: usize, rng: &mut Rng) -> Self {
        let mut permissions = Vec::new();
        for _ in 0..rng.usize(2..5) {
            let callable = [&OWN[..], &PATTERNS].concat();
            let entity = *rng.choice(&callable).unwrap();
            let domain = entity.split_once('.').unwrap().0;
            let services = match rng.u8(..3) {
                0 => format!("{domain}.*"),
                _ => (*rng.choice(&SERVICES).unwrap()).to_owned(),
            };
            permissions.push(format!("call:{services}:{entity}"));
        }
        for _ in 0..rng.usize(1..4) {
            let readable = [&OWN[..], &PATTERNS, &READ_ONLY].concat();
            let entity = rng.choice(&readable).unwrap();
            permissions.push(format!("read:{entity}"));
        }
        Self::new(subject, permissions)
    }

    pub(super) fn may_read(&self, entity_id: &str) -> bool {
        self.reads.iter().any(|pattern| matches(pattern, entity_id))
    }

    /// Returns true if the caller may call a service on an entity.
    pub(super) fn may_call(&self, entity_id: &str) -> bool {
        self.calls.iter().any(|pattern| matches(pattern, entity_id))
    }
}

fn matches(pattern: &str, entity_id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => entity_id.starts_with(start),
        None => entity_id == pattern,
    }
}
