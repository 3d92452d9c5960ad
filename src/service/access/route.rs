//! The table of the routes of Home Assistant's REST API that latchkey knows.
//!
//! All code that depends on the route is a `match` on [`RestRoute`] without a catch-all arm. This is the authorisation
//! ([`super::permit`]) and the redaction ([`super::redact`]). In this module, it is the check for read-only routes, the
//! expected answer, and the equivalent WebSocket command.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::unreadable::Unreadable;
use crate::base::json::Entries;
use crate::home::home_assistant::{Command, Expected, JsonSlice};

/// A route below `/api/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestRoute<'a> {
    /// `GET /`: the status of the API.
    Status,
    /// `GET /config`: the home's configuration.
    Config,
    /// `GET /states`: all states.
    States,
    /// `GET /states/<entity_id>`: one state.
    State(&'a str),
    /// `GET /services`: all services.
    Services,
    /// `POST /services/<domain>/<service>`: a service call.
    Call {
        /// The service's domain.
        domain: &'a str,
        /// The service's name.
        service: &'a str,
    },
    /// `GET /events`: the types of events, and the number of listeners of each type.
    Events,
    /// `GET /history/period[/<start>]`: states of the past.
    History,
    /// `GET /logbook[/<start>]`: the logbook.
    Logbook,
    /// `GET /calendars`: all calendars.
    Calendars,
    /// `GET /calendars/<entity_id>`: a calendar's events.
    Calendar(&'a str),
    /// `GET /camera_proxy/<entity_id>`: an image.
    Camera(&'a str),
    /// `POST /alexa/smart_home`: an Alexa directive.
    Alexa,
    /// Any other route.
    Other,
}

impl<'a> RestRoute<'a> {
    /// Returns the route of a request with this method and these path segments. Pass GET for a HEAD request.
    pub(super) fn of(method: &Method, path: &[&'a str]) -> Self {
        match (method.as_str(), path) {
            ("GET", []) => Self::Status,
            ("GET", ["config"]) => Self::Config,
            ("GET", ["states"]) => Self::States,
            ("GET", ["states", entity_id]) => Self::State(entity_id),
            ("GET", ["services"]) => Self::Services,
            ("POST", ["services", domain, service]) => Self::Call { domain, service },
            ("GET", ["events"]) => Self::Events,
            ("GET", ["history", "period"] | ["history", "period", _]) => Self::History,
            ("GET", ["logbook"] | ["logbook", _]) => Self::Logbook,
            ("GET", ["calendars"]) => Self::Calendars,
            ("GET", ["calendars", entity_id]) => Self::Calendar(entity_id),
            ("GET", ["camera_proxy", entity_id]) => Self::Camera(entity_id),
            ("POST", ["alexa", "smart_home"]) => Self::Alexa,
            _ => Self::Other,
        }
    }

    /// Returns true for a read-only route. An unknown route is not read-only, because even a GET can have an effect,
    /// such as on a webhook.
    pub fn only_reads(self) -> bool {
        match self {
            Self::Status
            | Self::Config
            | Self::States
            | Self::State(_)
            | Self::Services
            | Self::Events
            | Self::History
            | Self::Logbook
            | Self::Calendars
            | Self::Calendar(_)
            | Self::Camera(_) => true,
            Self::Call { .. } | Self::Alexa | Self::Other => false,
        }
    }

    /// Returns the kind of answer that the home sends.
    pub fn expected(self) -> Expected {
        match self {
            Self::Status
            | Self::Config
            | Self::States
            | Self::State(_)
            | Self::Services
            | Self::Call { .. }
            | Self::Events
            | Self::History
            | Self::Logbook
            | Self::Calendars
            | Self::Calendar(_)
            | Self::Alexa => Expected::Json,
            Self::Camera(_) => Expected::File,
            Self::Other => Expected::Anything,
        }
    }

    /// Returns the WebSocket command with the same answer. The command costs one round trip and does not present the
    /// token.
    ///
    /// The state of a single entity has no such command: its REST answer contains `last_reported`, and the only
    /// WebSocket command for states returns all states. History and logbook have no such command either, because their
    /// WebSocket answers have another format.
    pub fn command(self) -> Option<Command> {
        let kind = match self {
            Self::Status => "ping",
            Self::Config => "get_config",
            Self::States => "get_states",
            Self::Services => "get_services",
            Self::State(_)
            | Self::Call { .. }
            | Self::Events
            | Self::History
            | Self::Logbook
            | Self::Calendars
            | Self::Calendar(_)
            | Self::Camera(_)
            | Self::Alexa
            | Self::Other => return None,
        };
        Command::new(json!({ "type": kind })).ok()
    }

    /// Converts the result of the route's [command](Self::command) to the home's REST answer.
    pub fn answer(self, result: Option<JsonSlice>) -> Result<Bytes, Unreadable> {
        #[derive(Serialize)]
        struct Domain<'a> {
            domain: &'a Cow<'a, str>,
            services: &'a RawValue,
        }
        match (self, result) {
            (Self::Status, _) => Ok(Bytes::from_static(br#"{"message":"API running."}"#)),
            (Self::Services, Some(result)) => {
                let domains: Entries<'_> = serde_json::from_str(result.get())?;
                let listed = domains.0.iter();
                let listed = listed.map(|(domain, services)| Domain { domain, services });
                Ok(serde_json::to_vec(&listed.collect::<Vec<_>>())?.into())
            }
            (_, Some(result)) => Ok(result.into_bytes()),
            (_, None) => Err(Unreadable),
        }
    }
}
