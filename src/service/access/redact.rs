//! Redaction: what of an answer a caller may see who may not read everything.
//!
//! It comes last, by the permit of the present request, whatever the answer was first made for. An answer that is not
//! what Home Assistant answers is an error: an empty answer would be a lie.

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

/// The one member of a state, a calendar or a change that decides.
#[derive(Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    entity_id: Cow<'a, str>,
}

impl Permit {
    /// Whether the caller may not see everything.
    pub fn redacts(&self) -> bool {
        *self.reads() != Reads::Everything
    }

    /// What may be seen of the result of a command.
    pub fn redacted_result(&self, command: &Command, result: &str) -> Result<String, Unreadable> {
        if !self.redacts() {
            return Ok(result.to_owned());
        }
        let content = content_of(command).ok_or(Unreadable)?;
        self.sight(named(command)).redacted(content, result)
    }

    /// Whether not all of the home's answer to a REST request may be seen.
    pub fn redacts_answer(&self, request: &RestRequest) -> bool {
        self.redacts() && content(request.route()).is_some()
    }

    /// What may be seen of the message of an error that the home answered a command with.
    pub fn redacted_message(&self, command: &Command, message: String) -> String {
        if !self.redacts() {
            return message;
        }
        self.sight(named(command)).text(message)
    }

    /// What may be seen of the home's answer to a REST request.
    pub fn redacted_answer(
        &self,
        request: &RestRequest,
        body: &[u8],
    ) -> Result<String, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
        let route = request.route();
        match content(route) {
            Some(content) if self.redacts() => {
                self.sight(named_in(request)).redacted(content, text)
            }
            _ => Ok(text.to_owned()),
        }
    }

    /// What may be seen of an error that the home answered a REST request with.
    pub fn redacted_error(&self, request: &RestRequest, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        if !self.redacts() {
            return text.into_owned();
        }
        let sight = self.sight(named_in(request));
        match sight.plain(&text) {
            Ok(json) => json,
            Err(Unreadable) => sight.text(text.into_owned()),
        }
    }

    /// What the caller may see in an answer to a request that named these entities.
    fn sight(&self, named: BTreeSet<String>) -> Sight<'_> {
        Sight {
            permit: self,
            named,
        }
    }
}

/// What one caller may see of one answer.
struct Sight<'a> {
    permit: &'a Permit,
    /// Entities that the request named, which the caller knows of.
    named: BTreeSet<String>,
}

impl Sight<'_> {
    fn may_read(&self, entity_id: &str) -> bool {
        self.permit.reads().allow(entity_id)
    }

    /// Whether the caller knows of an entity: may read it, or has named it.
    fn knows(&self, entity_id: &str) -> bool {
        self.may_read(entity_id) || self.named.contains(entity_id)
    }

    fn redacted(&self, content: Content, json: &str) -> Result<String, Unreadable> {
        match content {
            Content::Config => {
                let mut all: Entries<'_> = serde_json::from_str(json)?;
                // The one member that clients and latchkey itself cannot do without.
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
                // An object, or nothing.
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

    /// A value without what is nobody's business but the home's owner's, and without entities that the caller does not
    /// know.
    fn value(&self, mut value: Value) -> Value {
        value::redact(&mut value, &|entity_id| self.knows(entity_id));
        value
    }

    /// The same of a value that is written as JSON.
    fn plain(&self, json: &str) -> Result<String, Unreadable> {
        let value = unambiguous(json).map_err(|_| Unreadable)?;
        Ok(self.value(value).to_string())
    }

    /// A text without entities that the caller does not know.
    fn text(&self, text: String) -> String {
        match self.value(Value::String(text)) {
            Value::String(text) => text,
            _ => String::new(),
        }
    }

    /// Of a list of things that have an `entity_id`, those that may be read.
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

    /// Of what a call changed, what may be read; with it the service's own response, if one was asked for.
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

    /// Lists of states; but for the first of each list they may go without their `entity_id`.
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

    /// What happened to entities that may be read; by whose doing only if that may be read as well.
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

    /// Of services by domain, those that the caller could call.
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

    /// Of services in a list of domains, those that the caller could call.
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

/// An object with these members.
struct MapOf<'a>(Vec<(&'a Cow<'a, str>, &'a Entries<'a>)>);

impl Serialize for MapOf<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests;
