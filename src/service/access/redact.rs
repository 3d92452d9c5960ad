//! Redacts answers for callers who may not read everything.
//!
//! Redaction is the last step. It uses the permit of the present request, even if the answer was recorded for an
//! earlier request. An answer with an unexpected format is an error, because an empty answer would be wrong.

mod content;
mod value;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::caller::Reads;
use super::permit::Permit;
use super::rest_request::RestRequest;
use super::unreadable::Unreadable;
use crate::base::json::{Entries, unambiguous};
use crate::home::home_assistant::Command;

use content::{Content, content, content_of, named, named_in};
pub use value::without_capabilities;

/// The members of the home's configuration that are shown to each caller who may read at least one entity.
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

/// The member of a state, a calendar or a changed state on which redaction depends.
#[derive(Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    entity_id: Cow<'a, str>,
}

impl Permit {
    /// Returns true if answers are redacted: the caller may not read everything.
    pub fn redacts(&self) -> bool {
        *self.reads() != Reads::Everything
    }

    /// Redacts the result of a command.
    pub fn redacted_result(&self, command: &Command, result: &str) -> Result<String, Unreadable> {
        if !self.redacts() {
            return Ok(result.to_owned());
        }
        let content = content_of(command).ok_or(Unreadable)?;
        self.redaction(named(command)).redacted(content, result)
    }

    /// Returns true if the home's answer to a REST request must be redacted.
    pub fn redacts_answer(&self, request: &RestRequest) -> bool {
        self.redacts() && content(request.route()).is_some()
    }

    /// Redacts the message of an error with which the home answered a command.
    pub fn redacted_message(&self, command: &Command, message: String) -> String {
        if !self.redacts() {
            return message;
        }
        self.redaction(named(command)).text(message)
    }

    /// Redacts the home's answer to a REST request.
    pub fn redacted_answer(
        &self,
        request: &RestRequest,
        body: &[u8],
    ) -> Result<String, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
        let route = request.route();
        match content(route) {
            Some(content) if self.redacts() => {
                self.redaction(named_in(request)).redacted(content, text)
            }
            _ => Ok(text.to_owned()),
        }
    }

    /// Redacts an error with which the home answered a REST request.
    pub fn redacted_error(&self, request: &RestRequest, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        if !self.redacts() {
            return text.into_owned();
        }
        let redaction = self.redaction(named_in(request));
        match redaction.plain(&text) {
            Ok(json) => json,
            Err(Unreadable) => redaction.text(text.into_owned()),
        }
    }

    /// Returns the redaction of an answer to a request that named these entities.
    fn redaction(&self, named: BTreeSet<String>) -> Redaction<'_> {
        Redaction {
            permit: self,
            named,
        }
    }
}

/// The redaction of one answer for one caller.
struct Redaction<'a> {
    permit: &'a Permit,
    /// The entities that the request named. Their ids are not secret to the caller.
    named: BTreeSet<String>,
}

impl Redaction<'_> {
    fn may_read(&self, entity_id: &str) -> bool {
        self.permit.reads().allow(entity_id)
    }

    /// Returns true if the caller knows the id of an entity: the caller may read the entity, or the request named it.
    fn knows(&self, entity_id: &str) -> bool {
        self.may_read(entity_id) || self.named.contains(entity_id)
    }

    fn redacted(&self, content: Content, json: &str) -> Result<String, Unreadable> {
        match content {
            Content::Config => {
                let mut all: Entries<'_> = serde_json::from_str(json)?;
                // Clients and latchkey itself need this member.
                if !all.0.iter().any(|(name, _)| name == "version") {
                    return Err(Unreadable);
                }
                all.0.retain(|(name, _)| SHOWN_OF_CONFIG.contains(&&**name));
                Ok(serde_json::to_string(&all)?)
            }
            Content::Entities => self.entities(json),
            Content::State => {
                let Entity { entity_id } = serde_json::from_str(json)?;
                match self.may_read(&entity_id) {
                    true => self.plain(json),
                    false => Err(Unreadable),
                }
            }
            Content::Services => {
                let domains: Entries<'_> = serde_json::from_str(json)?;
                let visible = self.services(domains.0)?;
                let visible = visible.iter().map(|one| (&one.domain, &one.services));
                Ok(serde_json::to_string(&MapOf(visible.collect()))?)
            }
            Content::ListedServices => self.listed_services(json),
            Content::CallResult => {
                // Only an object or null is valid.
                let _: Option<Entries<'_>> = serde_json::from_str(json)?;
                self.plain(json)
            }
            Content::ChangedStates => self.changed_states(json),
            Content::History => self.history(json),
            Content::ByEntity => {
                let mut all: Entries<'_> = serde_json::from_str(json)?;
                all.0.retain(|(entity_id, _)| self.may_read(entity_id));
                self.plain(&serde_json::to_string(&all)?)
            }
            Content::Logbook => self.logbook(json),
            Content::CalendarEvents => {
                let _: Vec<&RawValue> = serde_json::from_str(json)?;
                self.plain(json)
            }
        }
    }

    /// Redacts a value: removes the owner's private data, and the ids of entities that the caller does not know.
    fn value(&self, mut value: Value) -> Value {
        value::redact(&mut value, &|entity_id| self.knows(entity_id));
        value
    }

    /// Redacts a value in JSON text.
    fn plain(&self, json: &str) -> Result<String, Unreadable> {
        let value = unambiguous(json).map_err(|_| Unreadable)?;
        Ok(self.value(value).to_string())
    }

    /// Redacts a text: removes the ids of entities that the caller does not know.
    fn text(&self, text: String) -> String {
        match self.value(Value::String(text)) {
            Value::String(text) => text,
            _ => String::new(),
        }
    }

    /// Keeps the readable items in a list of items with an `entity_id`.
    fn entities(&self, json: &str) -> Result<String, Unreadable> {
        let all: Vec<&RawValue> = serde_json::from_str(json)?;
        let mut visible = Vec::new();
        for one in all {
            let Entity { entity_id } = serde_json::from_str(one.get())?;
            if self.may_read(&entity_id) {
                visible.push(self.plain(one.get())?);
            }
        }
        Ok(format!("[{}]", visible.join(",")))
    }

    /// Keeps the readable states in the states that a call changed. Redacts the service's response, if it has one.
    fn changed_states(&self, json: &str) -> Result<String, Unreadable> {
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
        let answer: WithResponse<'_> = serde_json::from_str(json)?;
        let changed = self.entities(answer.changed_states.get())?;
        let response = self.plain(answer.service_response.get())?;
        Ok(format!(
            r#"{{"changed_states":{changed},"service_response":{response}}}"#
        ))
    }

    /// Keeps the readable entities in a list of lists of states. Only the first state of each list must have an
    /// `entity_id`.
    fn history(&self, json: &str) -> Result<String, Unreadable> {
        let all: Vec<Vec<&RawValue>> = serde_json::from_str(json)?;
        let mut visible = Vec::new();
        for states in all {
            let Some(first) = states.first() else {
                continue;
            };
            let Entity { entity_id } = serde_json::from_str(first.get())?;
            if self.may_read(&entity_id) {
                let states: Result<Vec<String>, Unreadable> =
                    states.iter().map(|state| self.plain(state.get())).collect();
                visible.push(format!("[{}]", states?.join(",")));
            }
        }
        Ok(format!("[{}]", visible.join(",")))
    }

    /// Keeps the logbook entries of readable entities. Removes the cause of an entry unless its entity is readable too.
    fn logbook(&self, json: &str) -> Result<String, Unreadable> {
        let Ok(Value::Array(all)) = unambiguous(json) else {
            return Err(Unreadable);
        };
        let entries = all.into_iter().map(|entry| match entry {
            Value::Object(entry) => Ok(entry),
            _ => Err(Unreadable),
        });
        let all = entries.collect::<Result<Vec<_>, _>>()?;
        let is_readable = |entity_id: Option<&Value>| {
            let entity_id = entity_id.and_then(Value::as_str);
            entity_id.is_some_and(|entity_id| self.may_read(entity_id))
        };
        let visible = all
            .into_iter()
            .filter(|entry| is_readable(entry.get("entity_id")));
        let visible = visible.map(|mut entry| {
            if !is_readable(entry.get("context_entity_id")) {
                entry.retain(|name, _| !name.starts_with("context_"));
            }
            self.value(Value::Object(entry))
        });
        Ok(Value::Array(visible.collect()).to_string())
    }

    /// Keeps the services that the caller could call, in services by domain.
    fn services<'a>(
        &self,
        domains: Vec<(Cow<'a, str>, &'a RawValue)>,
    ) -> Result<Vec<Domain<'a>>, Unreadable> {
        let mut visible = Vec::new();
        for (domain, services) in domains {
            let mut services: Entries<'_> = serde_json::from_str(services.get())?;
            services
                .0
                .retain(|(service, _)| self.permit.shows_service(&domain, service));
            if !services.0.is_empty() {
                visible.push(Domain { domain, services });
            }
        }
        Ok(visible)
    }

    /// Keeps the services that the caller could call, in a list of domains.
    fn listed_services(&self, json: &str) -> Result<String, Unreadable> {
        #[derive(Deserialize)]
        struct Listed<'a> {
            #[serde(borrow)]
            domain: Cow<'a, str>,
            #[serde(borrow)]
            services: &'a RawValue,
        }
        let all: Vec<Listed<'_>> = serde_json::from_str(json)?;
        let all = all.into_iter().map(|one| (one.domain, one.services));
        let visible = self.services(all.collect())?;
        Ok(serde_json::to_string(&visible)?)
    }
}

/// The services of one domain.
#[derive(Serialize)]
struct Domain<'a> {
    domain: Cow<'a, str>,
    services: Entries<'a>,
}

/// A JSON object with these members.
struct MapOf<'a>(Vec<(&'a Cow<'a, str>, &'a Entries<'a>)>);

impl Serialize for MapOf<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests;
