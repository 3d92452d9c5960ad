//! The content of answers, and the entities that a request names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::entities::{normal, targets};
use super::super::rest_request::RestRequest;
use super::super::route::RestRoute;
use crate::home::home_assistant::Command;

/// The kind of content of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The home's configuration.
    Config,
    /// A list of items with an `entity_id`: states or calendars.
    Entities,
    /// One state.
    State,
    /// Services by domain.
    Services,
    /// Services in a list of domains.
    ListedServices,
    /// The context of a service call, and its response.
    CallResult,
    /// The states that a service call changed, and its response if the request wants it.
    ChangedStates,
    /// A list of states for each entity.
    History,
    /// An object with an entity id as the name of each member.
    ByEntity,
    /// The entries of the logbook.
    Logbook,
    /// The events of a calendar.
    CalendarEvents,
}

/// Returns the content of a command's result. `None` if the command requires permission to read everything.
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

/// Returns the entities that a command names.
pub(super) fn named(command: &Command) -> BTreeSet<String> {
    let text = |name: &str| command.get(name).and_then(Value::as_str).map(normal);
    let (domain, service) = (text("domain"), text("service"));
    let parts = [command.get("target"), command.get("service_data")];
    let (domain, service) = (domain.unwrap_or_default(), service.unwrap_or_default());
    targets(&domain, &service, parts).entities
}

/// Returns the entities that a REST request names.
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

/// Returns the content of the answer to a REST request. `None` if the answer is not redacted.
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
        // A caller who is authorised for these routes may see the whole answer.
        RestRoute::Status
        | RestRoute::Events
        | RestRoute::Camera(_)
        | RestRoute::Alexa
        | RestRoute::Other => None,
    }
}
