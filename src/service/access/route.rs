//! The routes of Home Assistant's REST API that latchkey knows: THE table.
//!
//! Everything that depends on the route is a match on [`RestRoute`] without a catch-all arm: who may ask
//! ([`super::permit`]), what of the answer may be seen ([`super::redact`]), and below whether it only reads, what the
//! home answers, and which command of the WebSocket answers the same.

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
    /// `GET /`: whether the API runs.
    Status,
    /// `GET /config`: what the home says of itself.
    Config,
    /// `GET /states`: all states.
    States,
    /// `GET /states/<entity_id>`: one state.
    State(&'a str),
    /// `GET /services`: all services.
    Services,
    /// `POST /services/<domain>/<service>`: a call of a service.
    Call {
        /// The service's domain.
        domain: &'a str,
        /// The service's name.
        service: &'a str,
    },
    /// `GET /events`: the types of events, and how many listen to each.
    Events,
    /// `GET /history/period[/<start>]`: states of the past.
    History,
    /// `GET /logbook[/<start>]`: what happened.
    Logbook,
    /// `GET /calendars`: all calendars.
    Calendars,
    /// `GET /calendars/<entity_id>`: a calendar's events.
    Calendar(&'a str),
    /// `GET /camera_proxy/<entity_id>`: an image.
    Camera(&'a str),
    /// `POST /alexa/smart_home`: an Alexa directive.
    Alexa,
    /// Any other.
    Other,
}

impl<'a> RestRoute<'a> {
    /// The route of a request, by its method (HEAD must be told as GET) and the steps of its path.
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

    /// Whether a request only reads. Of routes that are not known even a GET may do something, like one to a webhook.
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

    /// What the home answers.
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

    /// The command of the WebSocket that is answered with the same content, at the cost of one round trip and without a
    /// token being presented.
    ///
    /// The state of a single entity has none: its answer over REST holds `last_reported`, and the WebSocket's only
    /// command for states answers with all of them. Nor have history and logbook, whose answers over the WebSocket
    /// have another shape.
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

    /// What the home would answer over REST, from the result of the route's [command](Self::command).
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
