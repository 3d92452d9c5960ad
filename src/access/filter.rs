//! What of an answer may be seen by those who may not see everything.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::caller::Reads;
use super::permit::Permit;
use super::rest::RestRequest;
use crate::home_assistant::{Answer, Command, JsonSlice, Outcome};

/// The one member of a state, a calendar or a change that decides.
#[derive(Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    entity_id: Cow<'a, str>,
}

/// What everybody who may read anything is shown of the home's configuration.
const SHOWN_OF_CONFIG: [&str; 10] = [
    "components",
    "currency",
    "language",
    "location_name",
    "recovery_mode",
    "safe_mode",
    "state",
    "time_zone",
    "unit_system",
    "version",
];

/// Services by domain, as the WebSocket has them.
type Services<'a> = BTreeMap<Cow<'a, str>, BTreeMap<Cow<'a, str>, &'a RawValue>>;

impl Permit {
    /// The outcome of a command, without what may not be seen of it.
    pub fn visible(&self, command: &Command, outcome: Outcome) -> Outcome {
        if *self.reads() == Reads::Everything {
            return outcome;
        }
        match outcome {
            Outcome::Answered(Answer::Success(Some(result))) => {
                let seen = match command.kind() {
                    "get_states" => self.entities(result.get()),
                    "get_services" => self.services(result.get()),
                    "get_config" => self.config(result.get()),
                    _ => return Outcome::Answered(Answer::Success(Some(result))),
                };
                // What is not understood is not shown.
                Outcome::Answered(Answer::Success(seen.map(JsonSlice::from_text)))
            }
            other => other,
        }
    }

    /// Of a list of things that have an `entity_id`, those that may be read.
    pub fn entities(&self, json: &str) -> Option<String> {
        let all: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        let visible: Vec<&RawValue> = all
            .into_iter()
            .filter(|value| {
                serde_json::from_str::<Entity<'_>>(value.get())
                    .is_ok_and(|entity| self.reads().allow(&entity.entity_id))
            })
            .collect();
        serde_json::to_string(&visible).ok()
    }

    /// Whether not all of the body of the home's answer to a REST request may be seen.
    pub fn cuts(&self, request: &RestRequest) -> bool {
        self.knife(request).is_some()
    }

    /// What may be seen of the body of the home's answer to a REST request that it [cuts](Self::cuts).
    pub fn cut(&self, request: &RestRequest, body: &[u8]) -> String {
        let seen = std::str::from_utf8(body).ok();
        let seen = seen.zip(self.knife(request));
        // What is not understood is not shown.
        seen.and_then(|(body, knife)| knife(self, body))
            .unwrap_or_else(|| "[]".into())
    }

    fn knife(&self, request: &RestRequest) -> Option<fn(&Self, &str) -> Option<String>> {
        if *self.reads() == Reads::Everything {
            return None;
        }
        let path: Vec<&str> = request.path().collect();
        match (request.method(), path.as_slice()) {
            ("GET", ["states" | "calendars"]) => Some(Self::entities),
            ("POST", ["services", _, _]) => Some(Self::changes),
            ("GET", ["services"]) => Some(Self::listed_services),
            ("GET", ["config"]) => Some(Self::config),
            _ => None,
        }
    }

    /// Of what the home says of itself, what clients need: not where it is, nor what is around it.
    #[expect(clippy::unused_self, reason = "like all that cuts")]
    fn config(&self, json: &str) -> Option<String> {
        let mut all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
        all.retain(|name, _| SHOWN_OF_CONFIG.contains(&&**name));
        serde_json::to_string(&all).ok()
    }

    /// Of what a call changed, what may be read; with it the service's own response, if it was asked for.
    fn changes(&self, json: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct WithResponse<'a> {
            #[serde(borrow)]
            changed_states: &'a RawValue,
            #[serde(borrow)]
            service_response: &'a RawValue,
        }
        if !json.trim_start().starts_with('{') {
            return self.entities(json);
        }
        let answer: WithResponse<'_> = serde_json::from_str(json).ok()?;
        let changed = self.entities(answer.changed_states.get())?;
        let response = answer.service_response.get();
        Some(format!(
            r#"{{"changed_states":{changed},"service_response":{response}}}"#
        ))
    }

    /// Of all services, as the REST API lists them, those that could be called.
    fn listed_services(&self, json: &str) -> Option<String> {
        #[derive(Deserialize, Serialize)]
        struct Domain<'a> {
            #[serde(borrow)]
            domain: Cow<'a, str>,
            #[serde(borrow)]
            services: BTreeMap<Cow<'a, str>, &'a RawValue>,
        }
        let mut all: Vec<Domain<'_>> = serde_json::from_str(json).ok()?;
        for Domain { domain, services } in &mut all {
            services.retain(|service, _| self.shows_service(domain, service));
        }
        all.retain(|domain| !domain.services.is_empty());
        serde_json::to_string(&all).ok()
    }

    /// Of all services, those that could be called.
    pub fn services(&self, json: &str) -> Option<String> {
        let mut all: Services<'_> = serde_json::from_str(json).ok()?;
        for (domain, services) in &mut all {
            services.retain(|service, _| self.shows_service(domain, service));
        }
        all.retain(|_, services| !services.is_empty());
        serde_json::to_string(&all).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::access::{Caller, Permission};

    fn permit(permissions: &[&str]) -> Permit {
        let caller = Caller {
            subject: "s".into(),
            tenant: None,
            permissions: permissions
                .iter()
                .map(|text| Permission::parse(text).unwrap())
                .collect(),
            plan: None,
            expires_at: Duration::MAX,
        };
        let command = Command::new(json!({"type": "ping"})).unwrap();
        Permit::of_commands(&caller, &[command]).unwrap()
    }

    fn seen(permissions: &[&str], kind: &str, result: &serde_json::Value) -> serde_json::Value {
        let command = Command::new(json!({ "type": kind })).unwrap();
        let slice = JsonSlice::from_text(result.to_string());
        let outcome = Outcome::Answered(Answer::Success(Some(slice)));
        match permit(permissions).visible(&command, outcome) {
            Outcome::Answered(Answer::Success(Some(slice))) => {
                serde_json::from_str(slice.get()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn states_that_may_not_be_read_are_left_out() {
        let states = json!([
            {"entity_id": "light.a", "state": "on"},
            {"entity_id": "lock.b", "state": "locked"},
            {"state": "of nothing"},
        ]);
        assert_eq!(seen(&["read"], "get_states", &states), states);
        assert_eq!(
            seen(&["read:light.*"], "get_states", &states),
            json!([{"entity_id": "light.a", "state": "on"}])
        );
        assert_eq!(seen(&["call:light.*"], "get_states", &states), json!([]));
    }

    #[test]
    fn where_a_home_is_is_for_those_who_may_read_all_of_it() {
        let config = json!({
            "version": "2026.1", "state": "RUNNING", "components": ["light"],
            "latitude": 52.1, "longitude": 4.3, "elevation": 3, "radius": 100, "country": "NL",
            "internal_url": "http://10.0.0.2:8123", "external_url": null, "config_dir": "/config",
            "allowlist_external_dirs": [], "something_new": 1,
        });
        let cut = json!({"version": "2026.1", "state": "RUNNING", "components": ["light"]});
        assert_eq!(seen(&["read"], "get_config", &config), config);
        assert_eq!(seen(&["read:light.*"], "get_config", &config), cut);
        let asked = RestRequest::new("GET", "/config", "", b"").unwrap();
        let body = config.to_string();
        assert!(!permit(&["read"]).cuts(&asked));
        assert!(permit(&["read:light.*"]).cuts(&asked));
        let seen = permit(&["read:light.*"]).cut(&asked, body.as_bytes());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&seen).unwrap(),
            cut
        );
    }

    #[test]
    fn services_that_cannot_be_called_are_left_out() {
        let services = json!({
            "light": {"turn_on": {"name": "x"}, "turn_off": {}},
            "lock": {"unlock": {}},
        });
        assert_eq!(
            seen(&["call:light.turn_on:light.a"], "get_services", &services),
            json!({"light": {"turn_on": {"name": "x"}}})
        );
        assert_eq!(seen(&["read"], "get_services", &services), services);
    }
}
