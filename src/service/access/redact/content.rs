//! What answers hold, and which entities a request names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::entities::{normal, targets};
use super::super::rest_request::RestRequest;
use super::super::route::RestRoute;
use crate::home::home_assistant::Command;

/// What an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The home's configuration.
    Config,
    /// Things that have an `entity_id`: states, calendars.
    Entities,
    /// One state.
    State,
    /// Services by domain.
    Services,
    /// Services in a list of domains.
    ListedServices,
    /// The context of a call, and its response.
    CallResult,
    /// The states that a call changed, and its response if one was asked for.
    ChangedStates,
    /// Lists of states, one an entity.
    History,
    /// What is known by entity.
    ByEntity,
    /// What happened.
    Logbook,
    /// The events of a calendar.
    CalendarEvents,
}

/// What the result of a command holds; `None` if only those who may read everything may run it.
pub(super) fn content_of(command: &Command) -> Option<Content> {
    match command.kind() {
        "get_states" => Some(Content::Entities),
        "get_services" => Some(Content::Services),
        "get_config" => Some(Content::Config),
        "call_service" => Some(Content::CallResult),
        "history/history_during_period" | "recorder/statistics_during_period" => {
            Some(Content::ByEntity)
        }
        "logbook/get_events" => Some(Content::Logbook),
        _ => None,
    }
}

/// The entities that a command names.
pub(super) fn named(command: &Command) -> BTreeSet<String> {
    let text = |name: &str| command.get(name).and_then(Value::as_str).map(normal);
    let (domain, service) = (text("domain"), text("service"));
    let parts = [command.get("target"), command.get("service_data")];
    let (domain, service) = (domain.unwrap_or_default(), service.unwrap_or_default());
    targets(&domain, &service, parts).entities
}

/// The entities that a REST request names.
pub(super) fn named_in(request: &RestRequest) -> BTreeSet<String> {
    match request.route() {
        RestRoute::Call { domain, service } => {
            let (domain, service) = (normal(domain), normal(service));
            targets(&domain, &service, [request.body()]).entities
        }
        RestRoute::State(entity_id)
        | RestRoute::Calendar(entity_id)
        | RestRoute::Camera(entity_id) => BTreeSet::from([normal(entity_id)]),
        RestRoute::Status
        | RestRoute::Config
        | RestRoute::States
        | RestRoute::Services
        | RestRoute::Events
        | RestRoute::History
        | RestRoute::Logbook
        | RestRoute::Calendars
        | RestRoute::Alexa
        | RestRoute::Other => BTreeSet::new(),
    }
}

/// What the answer to a REST request holds; `None` if there is nothing in it that only some may see.
pub(super) fn content(route: RestRoute<'_>) -> Option<Content> {
    match route {
        RestRoute::Config => Some(Content::Config),
        RestRoute::States | RestRoute::Calendars => Some(Content::Entities),
        RestRoute::State(_) => Some(Content::State),
        RestRoute::Services => Some(Content::ListedServices),
        RestRoute::Call { .. } => Some(Content::ChangedStates),
        RestRoute::History => Some(Content::History),
        RestRoute::Logbook => Some(Content::Logbook),
        RestRoute::Calendar(_) => Some(Content::CalendarEvents),
        // Who may ask for these may see all that is in the answer.
        RestRoute::Status
        | RestRoute::Events
        | RestRoute::Camera(_)
        | RestRoute::Alexa
        | RestRoute::Other => None,
    }
}
