//! The search for data in a response that its caller may not see.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::corpus::Request;
use super::people::Person;

/// Data of a home that a caller sees only with a permission.
pub(super) struct Secrets {
    /// The name of each entity, if the entity has one.
    pub(super) names: BTreeMap<String, Option<String>>,
    /// The coordinates, as JSON writes numbers.
    pub(super) location: Vec<String>,
    pub(super) user_id: String,
    /// Tokens for pictures of cameras.
    pub(super) picture_tokens: Vec<String>,
}

/// Members that contain the location of the home.
const LOCATION: [&str; 4] = ["latitude", "longitude", "elevation", "radius"];

/// Returns the parts of a text that have the form of an entity id.
fn ids(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
        .map(|part| part.trim_matches('.').to_lowercase())
        .filter(|part| part.contains('.'))
}

/// A walk through a response.
struct Walk<'a> {
    secrets: &'a Secrets,
    person: &'a Person,
    /// The text of the request.
    request: String,
    is_refusal: bool,
    found: BTreeSet<String>,
}

impl Secrets {
    /// Returns the kinds of data in a response that the caller may not see.
    pub(super) fn leaks(
        &self,
        person: &Person,
        asked: &Request,
        status: u64,
        body: &str,
    ) -> BTreeSet<String> {
        let request = format!(
            "{} {} {}",
            asked.path,
            asked.query,
            asked
                .body
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default()
        );
        let request = request.replace("%2E", ".").replace("%20", " ");
        let mut walk = Walk {
            secrets: self,
            person,
            request,
            is_refusal: !(200..300).contains(&status),
            found: BTreeSet::new(),
        };
        match serde_json::from_str(body) {
            Ok(value) if asked.path == "/commands" => walk.results(asked, &value),
            Ok(value) if asked.path == "/api/services" => walk.services(&value),
            Ok(value) => walk.value("", &value),
            Err(_) => walk.text("", body),
        }
        walk.found
    }
}

impl Walk<'_> {
    /// Searches the results of commands.
    ///
    /// The descriptions in a result of `get_services` are not searched, because Home Assistant wrote them.
    fn results(&mut self, asked: &Request, answer: &Value) {
        let body = asked.body.clone().unwrap_or_default();
        let one = [body["command"].clone()];
        let commands = body["commands"].as_array().map_or(&one[..], Vec::as_slice);
        let Some(results) = answer["results"].as_array() else {
            return self.value("", answer);
        };
        assert_eq!(commands.len(), results.len(), "{answer}");
        for (command, result) in commands.iter().zip(results) {
            match command["type"] == "get_services" {
                true => self.services(&result["result"]),
                false => self.value("", result),
            }
        }
    }

    fn services(&mut self, services: &Value) {
        let mut shown = Vec::new();
        match services {
            Value::Array(domains) => {
                for domain in domains {
                    shown.push((
                        domain["domain"].as_str().unwrap_or_default(),
                        &domain["services"],
                    ));
                }
            }
            Value::Object(domains) => {
                shown.extend(
                    domains
                        .iter()
                        .map(|(domain, services)| (domain.as_str(), services)),
                );
            }
            other => return self.value("", other),
        }
        for (domain, services) in shown {
            for service in services
                .as_object()
                .into_iter()
                .flat_map(|services| services.keys())
            {
                let entity = format!("{domain}.{service}");
                let is_script = domain == "script" && self.secrets.names.contains_key(&entity);
                if is_script && !self.person.may_read(&entity) && !self.person.may_call(&entity) {
                    self.found
                        .insert("somebody else's script among the services".into());
                }
                if ["backup", "recorder", "hassio", "system_log", "logger"].contains(&domain) {
                    self.found.insert("an administrator's service".into());
                }
            }
        }
    }

    fn value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if LOCATION.contains(&name.as_str()) {
                        self.found.insert(format!("the home's {name}"));
                    }
                    self.ids("a name of a member", name);
                    self.value(name, value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.value(name, value)),
            Value::String(text) => self.text(name, text),
            Value::Number(number) => {
                if self.secrets.location.contains(&number.to_string()) {
                    self.found.insert("the home's location".into());
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Returns true if the request named an entity by its id or by the part after the dot.
    fn named(&self, id: &str) -> bool {
        let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = id.split_once('.').map_or(id, |(_, name)| name);
        let mut words = self.request.split(|c| !is_of_a_name(c));
        words.any(|word| word.eq_ignore_ascii_case(name))
    }

    fn ids(&mut self, name: &str, text: &str) {
        for id in ids(text).filter(|id| self.secrets.names.contains_key(id)) {
            // An error may repeat an id that the caller named. A success may contain ids that the caller may read or
            // has called.
            let is_echo = self.named(&id)
                && (self.is_refusal || name == "message" || self.person.may_call(&id));
            if !self.person.may_read(&id) && !is_echo {
                self.found
                    .insert(format!("a foreign entity's id in `{name}`"));
            }
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        self.ids(name, text);
        let Self {
            secrets, person, ..
        } = self;
        // Two entities can have the same name, so one readable entity with this name is sufficient. Every caller may
        // see the name of the home.
        let mut owners = secrets
            .names
            .iter()
            .filter(|(_, own)| own.as_deref() == Some(text));
        let is_somebodys = owners.clone().next().is_some() && name != "location_name";
        if is_somebodys
            && !owners.any(|(id, _)| person.may_read(id))
            && !self.request.contains(text)
        {
            self.found
                .insert(format!("a foreign entity's name in `{name}`"));
        }
        if text.contains(&secrets.user_id) {
            self.found
                .insert(format!("the service account's user id in `{name}`"));
        }
        if secrets
            .picture_tokens
            .iter()
            .any(|token| text.contains(token))
        {
            self.found.insert(format!("a camera's token in `{name}`"));
        }
        if secrets.location.iter().any(|number| text.contains(number)) {
            self.found.insert("the home's location".into());
        }
    }
}
