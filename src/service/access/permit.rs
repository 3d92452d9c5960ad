//! Authorises requests by the caller's permissions.
//!
//! Home Assistant's tokens have no scopes: a token allows everything that its user may do. So this authorisation is the
//! only barrier between a caller and the home. It is a pure function and denies unknown requests. It returns a
//! [`Permit`], and no request reaches a home without one.

mod calls;
mod denied;

use serde_json::Value;

use self::calls::{could_call, first_of, may_call};
pub use self::denied::Denied;
use self::denied::denied;
use super::caller::{Caller, Reads};
use super::entities::{looks_like_an_id, normal, targets};
use super::permission::Permission;
use super::rest_request::RestRequest;
use super::route::RestRoute;
use crate::home::home_assistant::Command;

/// The proof that a request is authorised. It also redacts the answer for the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Permit {
    reads: Reads,
    calls: Vec<Permission>,
}

impl Permit {
    /// Returns the permit of a direct invocation, which AWS has authorised.
    pub(super) fn of_invoker() -> Self {
        Self::of(&Caller::unproven())
    }

    fn of(caller: &Caller) -> Self {
        Self {
            reads: caller.reads(),
            calls: caller.permissions.clone(),
        }
    }

    /// Authorises a batch of commands. Fails if one of them is denied.
    pub fn of_commands(caller: &Caller, commands: &[Command]) -> Result<Self, Denied> {
        for command in commands {
            may_run(caller, command)?;
        }
        Ok(Self::of(caller))
    }

    /// Authorises a request to the home's own REST API.
    pub fn of_rest(caller: &Caller, request: &RestRequest) -> Result<Self, Denied> {
        may_ask(caller, request)?;
        Ok(Self::of(caller))
    }

    /// Authorises reading the detailed health report.
    pub fn of_health(caller: &Caller) -> Result<Self, Denied> {
        if caller.is_admin() || caller.permissions.contains(&Permission::ReadHealth) {
            Ok(Self::of(caller))
        } else {
            denied("health:read")
        }
    }

    /// Authorises the administration of latchkey itself.
    pub fn of_administration(caller: &Caller) -> Result<Self, Denied> {
        must_be_admin(caller)?;
        Ok(Self::of(caller))
    }

    /// Authorises watching a resource, which is an entity.
    pub fn of_watch(caller: &Caller, resource: &str) -> Result<Self, Denied> {
        may_read(caller, resource)?;
        Ok(Self::of(caller))
    }

    /// Returns the entities of an answer that the caller may read.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Returns true if a service in an answer is shown: the caller may read everything or could call the service.
    pub fn shows_service(&self, domain: &str, service: &str) -> bool {
        self.reads == Reads::Everything || could_call(&self.calls, domain, service)
    }
}

fn may_run(caller: &Caller, command: &Command) -> Result<(), Denied> {
    let text = |name: &str| command.get(name).and_then(Value::as_str).map(normal);
    match command.kind() {
        "ping" => Ok(()),
        "get_states" | "get_config" => may_read_something(caller),
        "get_services" => may_see_services(caller),
        "call_service" => match (text("domain"), text("service")) {
            (Some(domain), Some(service)) => {
                let parts = [command.get("target"), command.get("service_data")];
                let about = targets(&domain, &service, parts);
                may_call(caller, &domain, &service, &about)
            }
            // The home rejects such a call. Until then, the call could have any meaning.
            _ => must_be_admin(caller),
        },
        "history/history_during_period" => may_read_each(caller, command.get("entity_ids")),
        // Only the home knows the entities of a device.
        "logbook/get_events" if command.get("device_ids").is_some() => may_read_all(caller),
        "logbook/get_events" => may_read_each(caller, command.get("entity_ids")),
        "recorder/statistics_during_period" => may_read_each(caller, command.get("statistic_ids")),
        _ => must_be_admin(caller),
    }
}

/// Returns true if a command is known to change nothing. Such a command may be repeated.
pub fn only_reads(command: &Command) -> bool {
    matches!(
        command.kind(),
        "ping"
            | "get_states"
            | "get_config"
            | "get_services"
            | "history/history_during_period"
            | "logbook/get_events"
            | "recorder/statistics_during_period"
    )
}

fn may_ask(caller: &Caller, request: &RestRequest) -> Result<(), Denied> {
    let about = |name: &str| {
        let ids: Vec<Value> = request.query(name).map(Value::from).collect();
        (!ids.is_empty()).then_some(Value::Array(ids))
    };
    match request.route() {
        RestRoute::Status => Ok(()),
        RestRoute::Config | RestRoute::States | RestRoute::Calendars => may_read_something(caller),
        RestRoute::State(entity_id)
        | RestRoute::Camera(entity_id)
        | RestRoute::Calendar(entity_id) => may_read(caller, entity_id),
        RestRoute::Services => may_see_services(caller),
        RestRoute::Call { domain, service } => {
            let (domain, service) = (normal(domain), normal(service));
            let about = targets(&domain, &service, [request.body()]);
            may_call(caller, &domain, &service, &about)
        }
        RestRoute::Alexa => {
            let about = targets("alexa", "smart_home", []);
            may_call(caller, "alexa", "smart_home", &about)
        }
        RestRoute::Events => may_read_all(caller),
        RestRoute::History => may_read_each(caller, about("filter_entity_id").as_ref()),
        RestRoute::Logbook => may_read_each(caller, about("entity").as_ref()),
        RestRoute::Other => must_be_admin(caller),
    }
}

fn may_see_services(caller: &Caller) -> Result<(), Denied> {
    let calls_something = caller
        .permissions
        .iter()
        .any(|permission| matches!(permission, Permission::Call { .. }));
    if calls_something {
        return Ok(());
    }
    may_read_something(caller)
}

fn may_read_something(caller: &Caller) -> Result<(), Denied> {
    if caller.reads().is_nothing() {
        return denied("read");
    }
    Ok(())
}

fn may_read_all(caller: &Caller) -> Result<(), Denied> {
    if caller.reads() == Reads::Everything {
        return Ok(());
    }
    denied("read")
}

fn may_read(caller: &Caller, entity_id: &str) -> Result<(), Denied> {
    let entity_id = normal(entity_id);
    if caller.reads().allow(&entity_id) {
        return Ok(());
    }
    // A text that is not an entity id may be a secret, so the error does not repeat it.
    match looks_like_an_id(&entity_id) {
        true => first_of([format!("read:{entity_id}"), "read".into()]),
        false => denied("read"),
    }
}

/// Authorises reading all entities in a list of ids. A missing list means all entities of the home.
fn may_read_each(caller: &Caller, ids: Option<&Value>) -> Result<(), Denied> {
    let mut found = Vec::new();
    if !collect(ids, &mut found) || found.is_empty() {
        return may_read_all(caller);
    }
    found.iter().try_for_each(|id| may_read(caller, id))
}

/// Collects ids from a text with commas, or from a list of such texts. Returns false if the value contains anything
/// else.
fn collect(ids: Option<&Value>, into: &mut Vec<String>) -> bool {
    match ids {
        Some(Value::String(text)) => {
            let ids = text.split(',').map(normal).filter(|id| !id.is_empty());
            let before = into.len();
            into.extend(ids);
            // Home Assistant treats a list with an empty text like a missing list.
            into.len() > before && into[before..].iter().all(|id| looks_like_an_id(id))
        }
        Some(Value::Array(values)) => values.iter().all(|value| collect(Some(value), into)),
        _ => false,
    }
}

fn must_be_admin(caller: &Caller) -> Result<(), Denied> {
    if caller.is_admin() {
        return Ok(());
    }
    denied("admin")
}

#[cfg(test)]
mod tests;
