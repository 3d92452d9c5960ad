//! Authorises service calls, and decides which services are shown to a caller.

use super::denied::{Denied, denied};
use crate::service::access::caller::Caller;
use crate::service::access::entities::{Targets, looks_like_an_id};
use crate::service::access::naming::{
    acts_on_entities, acts_on_more, domain_called_on, entity_of_service,
};
use crate::service::access::permission::{Glob, Permission};

/// The targets on which permissions allow a service to be called.
enum Allowed<'a> {
    /// Any target, including a call that names no entity.
    Anything,
    /// The entities that match one of these patterns.
    Entities(Vec<&'a Glob>),
}

impl<'a> Allowed<'a> {
    fn by(permissions: &'a [Permission], domain: &str, service: &str) -> Self {
        let name = format!("{domain}.{service}");
        let mut globs = Vec::new();
        for permission in permissions {
            match permission {
                Permission::Call { services, entities } if services.matches(&name) => {
                    match entities {
                        None => return Self::Anything,
                        Some(glob) if glob.is_anything() => return Self::Anything,
                        Some(glob) if acts_on_entities(domain) || services.names_domain(domain) => {
                            globs.push(glob);
                        }
                        Some(_) => {}
                    }
                }
                Permission::Call { .. }
                | Permission::Read(_)
                | Permission::ReadHealth
                | Permission::Admin => {}
            }
        }
        Self::Entities(globs)
    }
}

/// Authorises a service call. `about` are its targets.
pub(super) fn may_call(
    caller: &Caller,
    domain: &str,
    service: &str,
    about: &Targets,
) -> Result<(), Denied> {
    if caller.is_admin() {
        return Ok(());
    }
    if is_for_admins(domain, service) {
        return denied("admin");
    }
    let allowed = match Allowed::by(&caller.permissions, domain, service) {
        Allowed::Anything => return Ok(()),
        Allowed::Entities(globs) => globs,
    };
    let name = format!("{domain}.{service}");
    // A text that is not the name of a service may be a secret, so the error does not repeat it.
    if !looks_like_an_id(&name) {
        return denied("call:*");
    }
    if about.is_open {
        return first_of([format!("call:{name}"), "call:*".into()]);
    }
    // Different permissions may allow different entities.
    let own = entity_of_service(domain, service);
    let unallowed = about
        .entities
        .iter()
        .chain(&own)
        .find(|entity_id| !allowed.iter().any(|glob| glob.matches(entity_id)));
    match unallowed {
        None => Ok(()),
        Some(entity_id) => first_of([
            format!("call:{name}:{entity_id}"),
            format!("call:{name}"),
            "call:*".into(),
        ]),
    }
}

/// Returns true if [`may_call`] allows at least one call of a service, on an entity of a kind that the service accepts.
pub(super) fn could_call(permissions: &[Permission], domain: &str, service: &str) -> bool {
    if permissions.contains(&Permission::Admin) {
        return true;
    }
    if is_for_admins(domain, service) {
        return false;
    }
    let globs = match Allowed::by(permissions, domain, service) {
        Allowed::Anything => return true,
        Allowed::Entities(globs) => globs,
    };
    if acts_on_more(domain, service) || !looks_like_an_id(&format!("{domain}.{service}")) {
        return false;
    }
    match entity_of_service(domain, service) {
        Some(own) => globs.iter().any(|glob| glob.matches(&own)),
        None => {
            let called_on = domain_called_on(domain, service);
            globs.iter().any(|glob| glob.matches_an_id_of(called_on))
        }
    }
}

/// Returns true for a service that requires `admin`: it stops the home, changes its configuration, or acts beyond it.
fn is_for_admins(domain: &str, service: &str) -> bool {
    match domain {
        "backup" | "hassio" | "logger" | "recorder" | "system_log" => true,
        "homeassistant" => !matches!(service, "turn_on" | "turn_off" | "toggle" | "update_entity"),
        _ => false,
    }
}

/// Denies a request and names a permission that would allow it: the first of `permissions`, from narrow to broad, that
/// is valid in the grammar.
pub(super) fn first_of<const N: usize>(permissions: [String; N]) -> Result<(), Denied> {
    let mut permissions = permissions.into_iter();
    let wanted = permissions.find(|permission| Permission::parse(permission).is_some());
    denied(wanted.unwrap_or_else(|| "admin".into()))
}
