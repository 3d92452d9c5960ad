//! Random requests of all kinds for the entities and services of a home.

use fastrand::Rng;
use serde_json::{Value, json};

use super::people::OWN;

/// The parts of a home that requests name.
pub(super) struct Corpus {
    /// All entities.
    pub(super) entities: Vec<String>,
    /// All services, as domain and service.
    pub(super) services: Vec<(String, String)>,
    /// Ids of the entity registry and of the device registry.
    pub(super) registry_ids: Vec<String>,
    pub(super) area_id: String,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Option<Value>,
    /// The kind of the request, which a failing test shows.
    pub(super) kind: String,
    /// True if the request only reads.
    pub(super) only_reads: bool,
}

/// Read-only commands. Some of these commands are denied to all callers except administrators.
const OTHER_COMMANDS: [&str; 16] = [
    "config/entity_registry/list",
    "config/device_registry/list",
    "config/area_registry/list",
    "auth/current_user",
    "auth/refresh_tokens",
    "config/auth/list",
    "person/list",
    "zone/list",
    "search/related",
    "entity/source",
    "extract_from_target",
    "history/list",
    "manifest/list",
    "lovelace/config",
    "recorder/list_statistic_ids",
    "trace/list",
];

const OTHER_PATHS: [&str; 14] = [
    "/api/",
    "/api/config",
    "/api/states",
    "/api/states/",
    "/api/services",
    "/api/events",
    "/api/calendars",
    "/api/error_log",
    "/api/components",
    "/api/history/period",
    "/api/logbook",
    "/api/stream",
    "/api/config/automation/config/drill",
    "/api/image_proxy/image.x",
];

impl Corpus {
    /// Returns an entity: one of this caller's, one of any caller's, or any entity of the home.
    fn entity<'a>(&'a self, own: &'a [String], rng: &mut Rng) -> &'a str {
        match (rng.u8(..8), rng.choice(own)) {
            (0..=4, Some(entity)) => entity,
            (5, _) => rng.choice(&OWN).unwrap(),
            _ => rng.choice(&self.entities).unwrap(),
        }
    }

    /// Returns an entity id, or a value that may be read as one or several ids.
    fn id(&self, own: &[String], rng: &mut Rng) -> Value {
        let entity = self.entity(own, rng);
        let other = self.entity(own, rng);
        match rng.u8(..18) {
            0..=9 => json!(entity),
            10 => json!([entity, other]),
            11 => json!(format!("{entity},{other}")),
            12 => json!(format!(" {} ", entity.to_uppercase())),
            13 => json!(*rng.choice(&["all", "none", "*", "", ","]).unwrap()),
            14 => json!(rng.choice(&self.registry_ids)),
            15 => json!(format!("{{{{ '{entity}' }}}}")),
            16 => json!([[entity], other]),
            _ => json!([entity, null]),
        }
    }

    /// Returns the object id of an entity of this domain, which is the part after the dot.
    fn object_id(&self, domain: &str, rng: &mut Rng) -> Value {
        let ids = self.entities.iter().filter_map(|id| id.split_once('.'));
        let those = ids.filter(|(of, _)| *of == domain).map(|(_, name)| name);
        json!(rng.choice(those.collect::<Vec<_>>()).unwrap_or("new"))
    }

    /// Returns members that name entities, for a target or for service data.
    fn naming(&self, own: &[String], rng: &mut Rng) -> Value {
        let mut members = json!({});
        for _ in 0..rng.usize(1..3) {
            let entity = self.entity(own, rng).to_owned();
            let (name, value) = match rng.u8(..24) {
                0..=9 => ("entity_id", self.id(own, rng)),
                10 => ("area_id", json!(self.area_id)),
                11 => ("device_id", json!(rng.choice(&self.registry_ids))),
                12 => (
                    *rng.choice(&["label_id", "floor_id"]).unwrap(),
                    json!("home"),
                ),
                13 => ("entities", json!({ entity: "on" })),
                14 => ("entities", json!([entity])),
                15 => ("snapshot_entities", json!([entity])),
                16 | 17 => ("scene_id", self.object_id("scene", rng)),
                18 => ("object_id", self.object_id("group", rng)),
                19 => ("dev_id", self.object_id("device_tracker", rng)),
                20 => ("group_members", self.id(own, rng)),
                21 => ("media_player_entity_id", self.id(own, rng)),
                22 => (
                    "media_content_id",
                    json!(format!("media-source://camera/{entity}")),
                ),
                _ => ("variables", json!({ "entity_id": entity })),
            };
            members[name] = value;
        }
        members
    }

    /// Returns a service of the domain of one of the caller's entities.
    fn service_of_own_domain(&self, own: &[String], rng: &mut Rng) -> Option<(String, String)> {
        let (domain, _) = rng.choice(own)?.split_once('.')?;
        let suiting = self.services.iter().filter(|(of, _)| of == domain);
        rng.choice(suiting.collect::<Vec<_>>()).cloned()
    }

    /// Returns a call: domain, service, target and service data.
    fn call(&self, own: &[String], rng: &mut Rng) -> (String, String, Value, Value) {
        const OFTEN: [&str; 14] = [
            "light.turn_on",
            "light.turn_off",
            "homeassistant.turn_on",
            "homeassistant.toggle",
            "homeassistant.turn_off",
            "scene.create",
            "scene.apply",
            "scene.turn_on",
            "group.set",
            "group.remove",
            "lock.lock",
            "script.turn_on",
            "device_tracker.see",
            "switch.toggle",
        ];
        if rng.u8(..4) == 0 {
            return self.trick(own, rng);
        }
        let often = *rng.choice(&OFTEN).unwrap();
        let (mut domain, mut service) = match (rng.u8(..4), self.service_of_own_domain(own, rng)) {
            (0 | 1, Some(suiting)) => suiting,
            (2, _) => rng.choice(&self.services).unwrap().clone(),
            _ => {
                let (domain, service) = often.split_once('.').unwrap();
                (domain.to_owned(), service.to_owned())
            }
        };
        if rng.u8(..20) == 0 {
            domain = domain.to_uppercase();
            service = format!(" {service}");
        }
        let target = match rng.u8(..8) {
            0 => json!({}),
            1 | 2 => json!({ "entity_id": self.id(own, rng) }),
            3 => self.naming(own, rng),
            _ => json!({ "entity_id": self.entity(own, rng) }),
        };
        let mut data = match rng.u8(..5) {
            0 => self.naming(own, rng),
            _ => json!({}),
        };
        match service.trim() {
            "create" if rng.bool() => {
                data["entities"] = json!({ *rng.choice(&OWN).unwrap(): "on" })
            }
            "set" if rng.bool() => data["entities"] = json!([*rng.choice(&OWN).unwrap()]),
            "create" | "set" | "remove" => {}
            "see" => data["location_name"] = json!("away"),
            "log" => {
                data["name"] = json!("a note");
                data["message"] = json!("of somebody");
            }
            _ => {}
        }
        (domain, service, target, data)
    }

    /// Returns a call that names the caller's entity in one member and a foreign entity in another member.
    fn trick(&self, own: &[String], rng: &mut Rng) -> (String, String, Value, Value) {
        let mine = rng.choice(own).map_or("light.bed_light", String::as_str);
        let other = rng.choice(&self.entities).unwrap().as_str();
        let (name, target, data) = match rng.u8(..9) {
            0 | 1 => {
                let data =
                    json!({ "scene_id": self.object_id("scene", rng), "entities": { mine: "on" } });
                ("scene.create", json!({}), data)
            }
            2 | 3 => {
                let data = json!({ "object_id": self.object_id("group", rng), "entities": [mine] });
                ("group.set", json!({}), data)
            }
            4 => (
                "scene.apply",
                json!({}),
                json!({ "entities": { mine: "on", other: "on" } }),
            ),
            5 => {
                let target = json!({ "entity_id": mine, "area_id": self.area_id });
                ("homeassistant.toggle", target, json!({}))
            }
            6 => (
                "homeassistant.toggle",
                json!({ "entity_id": [mine, other] }),
                json!({}),
            ),
            7 => {
                let target =
                    json!({ "entity_id": mine, "device_id": rng.choice(&self.registry_ids) });
                ("light.toggle", target, json!({}))
            }
            _ => ("scene.reload", json!({}), json!({ "entity_id": mine })),
        };
        let (domain, service) = name.split_once('.').unwrap();
        (domain.to_owned(), service.to_owned(), target, data)
    }

    /// Returns ids for a read-only request. Half of the requests name one of the caller's entities.
    fn read_id(&self, own: &[String], rng: &mut Rng) -> Value {
        match (rng.bool(), rng.choice(own)) {
            (true, Some(entity)) => json!([entity]),
            _ => self.id(own, rng),
        }
    }

    fn command(&self, own: &[String], rng: &mut Rng) -> (Value, bool) {
        let since = "2026-01-01T00:00:00Z";
        let read = |command: Value| (command, true);
        match rng.u8(..20) {
            0 => read(json!({"type": "get_states"})),
            1 => read(json!({"type": "get_config"})),
            2 => read(json!({"type": "get_services"})),
            3 => read(json!({"type": "ping"})),
            4 => read(json!({
                "type": "history/history_during_period", "start_time": since, "entity_ids": self.read_id(own, rng),
            })),
            5 | 6 => read(json!({
                "type": "logbook/get_events", "start_time": since, "entity_ids": self.read_id(own, rng),
            })),
            7 => read(json!({
                "type": "recorder/statistics_during_period", "start_time": since, "period": "hour",
                "statistic_ids": self.read_id(own, rng),
            })),
            8 => read(json!({
                "type": *rng.choice(&OTHER_COMMANDS).unwrap(), "entity_id": self.entity(own, rng),
            })),
            _ => {
                let (domain, service, target, service_data) = self.call(own, rng);
                let mut command = json!({
                    "type": "call_service", "domain": domain, "service": service, "service_data": service_data,
                });
                if rng.u8(..4) > 0 {
                    command["target"] = target;
                }
                if rng.u8(..8) == 0 {
                    command["return_response"] = json!(true);
                }
                (command, false)
            }
        }
    }

    fn commands(&self, own: &[String], rng: &mut Rng) -> Request {
        let count = if rng.u8(..5) == 0 { rng.usize(2..5) } else { 1 };
        let (commands, reads): (Vec<Value>, Vec<bool>) =
            (0..count).map(|_| self.command(own, rng)).unzip();
        let kind = match commands.as_slice() {
            [one] => one["type"].as_str().unwrap().to_owned(),
            _ => "a batch".to_owned(),
        };
        let mut body = match rng.bool() || count > 1 {
            true => json!({ "commands": commands }),
            false => json!({ "command": commands[0] }),
        };
        if rng.u8(..3) == 0 {
            body["idempotency_key"] = json!(format!("key-{}", rng.u32(..)));
        }
        Request {
            method: "POST",
            path: "/commands".into(),
            query: String::new(),
            body: Some(body),
            kind,
            only_reads: reads.into_iter().all(|reads| reads),
        }
    }

    fn rest(&self, own: &[String], rng: &mut Rng) -> Request {
        let entity = self.entity(own, rng);
        let spelled = match rng.u8(..4) {
            0 => entity.replace('.', "%2E"),
            1 => entity.to_uppercase(),
            _ => entity.to_owned(),
        };
        let ids = match self.read_id(own, rng) {
            Value::String(text) => text,
            Value::Array(ids) if ids.len() == 1 => ids[0].as_str().unwrap().to_owned(),
            other => format!("{entity},{other}"),
        };
        let ids = ids.replace(' ', "%20").replace('"', "");
        let since = "2026-01-01T00:00:00%2B00:00";
        let (method, path, query, body) = match rng.u8(..12) {
            0 | 1 => ("GET", format!("/api/states/{spelled}"), String::new(), None),
            2 => (
                "GET",
                format!("/api/camera_proxy/{spelled}"),
                String::new(),
                None,
            ),
            3 => {
                let query = format!("filter_entity_id={ids}&minimal_response");
                ("GET", format!("/api/history/period/{since}"), query, None)
            }
            4 => (
                "GET",
                "/api/history/period".into(),
                format!("filter_entity_id={ids}"),
                None,
            ),
            5 => (
                "GET",
                format!("/api/logbook/{since}"),
                format!("entity={ids}"),
                None,
            ),
            6 | 7 => {
                let path = (*rng.choice(&OTHER_PATHS).unwrap()).to_owned();
                ("GET", path, String::new(), None)
            }
            8 => {
                let body = json!({ "state": "changed" });
                (
                    "POST",
                    format!("/api/states/{spelled}"),
                    String::new(),
                    Some(body),
                )
            }
            _ => {
                let (domain, service, target, mut body) = self.call(own, rng);
                for (name, value) in target.as_object().unwrap() {
                    body[name] = value.clone();
                }
                let path = format!("/api/services/{domain}/{}", service.replace(' ', "%20"));
                let query = if rng.u8(..8) == 0 {
                    "return_response"
                } else {
                    ""
                };
                ("POST", path, query.to_owned(), Some(body))
            }
        };
        let steps: Vec<&str> = path.split('/').take(3).collect();
        Request {
            kind: format!("{method} {}", steps.join("/")),
            only_reads: method == "GET",
            method,
            path,
            query,
            body,
        }
    }

    pub(super) fn random(&self, own: &[String], rng: &mut Rng) -> Request {
        match rng.u8(..5) < 3 {
            true => self.commands(own, rng),
            false => self.rest(own, rng),
        }
    }
}
