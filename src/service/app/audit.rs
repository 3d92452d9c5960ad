//! The audit log: one line for each command of a WebSocket connection.

use serde_json::Value;

use crate::base::home_name::HomeName;
use crate::base::json::shown;
use crate::home::home_assistant::Command;
use crate::service::connections::Identity;

/// The number of targets that one line names.
const MAX_TARGETS: usize = 16;

/// Logs a command: the caller, the command, its targets, and its outcome.
pub(crate) fn audit(identity: &Identity, command: &Command, outcome: &str, request_id: &str) {
    let tenant = identity.tenant.as_ref().map_or("", HomeName::as_str);
    let subject = shown(&identity.subject);
    let kind = shown(command.kind());
    let service = match (word(command.get("domain")), word(command.get("service"))) {
        (Some(domain), Some(service)) => shown(&format!("{domain}.{service}")),
        _ => String::new(),
    };
    let targets = targets(command);
    tracing::info!(
        category = "audit",
        request_id,
        tenant,
        subject,
        command = kind,
        service,
        targets,
        outcome,
        "command"
    );
}

fn word(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// Returns the entities, devices and areas that a command names.
fn targets(command: &Command) -> String {
    let mut found = Vec::new();
    let parts = [command.get("target"), command.get("service_data")];
    for part in parts.into_iter().flatten() {
        for name in ["entity_id", "device_id", "area_id", "floor_id", "label_id"] {
            collect(part.get(name), &mut found);
        }
    }
    for name in ["entity_id", "entity_ids", "statistic_ids"] {
        collect(command.get(name), &mut found);
    }
    let more = found.len().saturating_sub(MAX_TARGETS);
    found.truncate(MAX_TARGETS);
    let mut text = found.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn collect(value: Option<&Value>, into: &mut Vec<String>) {
    match value {
        Some(Value::String(text)) => into.push(shown(text)),
        Some(Value::Array(values)) => values.iter().for_each(|value| collect(Some(value), into)),
        _ => {}
    }
}
