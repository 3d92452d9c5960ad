//! Tests of the authorisation as tables. Each rule has at least one allowed row and one denied row.

use std::time::Duration;

use serde_json::json;

use super::*;

mod calls;
mod commands;
mod naming;
mod property;
mod rest;
mod services;
mod targets;

/// Returns a caller with these permissions, a text with spaces between them.
fn caller(permissions: &str) -> Caller {
    Caller {
        subject: "ann".into(),
        tenant: None,
        permissions: permissions
            .split_whitespace()
            .map(|text| Permission::parse(text).unwrap_or_else(|| panic!("{text}")))
            .collect(),
        plan: None,
        expires_at: Duration::MAX,
    }
}

fn command(value: Value) -> Command {
    Command::new(value).unwrap()
}

fn run(permissions: &str, asked: &Value) -> Result<(), Denied> {
    let command = command(asked.clone());
    Permit::of_commands(&caller(permissions), &[command]).map(|_| ())
}

/// A row: the caller's permissions, the request, and the permission that a denial names (`None` if it is allowed).
type Row<Asked> = (&'static str, Asked, Option<&'static str>);

/// Checks the rows. Also checks that the permission that a denial names is sufficient.
fn check<Asked: std::fmt::Debug>(
    rows: impl IntoIterator<Item = Row<Asked>>,
    decide: impl Fn(&str, &Asked) -> Result<(), Denied>,
) {
    let mut wrong = Vec::new();
    for (permissions, asked, expected) in rows {
        let wanted = decide(permissions, &asked)
            .err()
            .map(|denied| denied.wanted);
        if wanted.as_deref() != expected {
            wrong.push(format!(
                "{permissions:?} {asked:?}: {wanted:?} instead of {expected:?}"
            ));
        }
        if let Some(wanted) = wanted {
            if let Err(denied) = decide(&format!("{permissions} {wanted}"), &asked) {
                wrong.push(format!(
                    "{permissions:?} {asked:?}: {wanted} is not enough: {denied}"
                ));
            }
            if let Err(denied) = decide(&wanted, &asked)
                && permissions.is_empty()
            {
                wrong.push(format!("{asked:?}: {wanted} alone is not enough: {denied}"));
            }
        }
        if let Err(denied) = decide(&format!("{permissions} admin"), &asked) {
            wrong.push(format!("{asked:?}: denied to an administrator: {denied}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn health_report_requires_health_read_or_admin() {
    for (permissions, allowed) in [
        ("health:read", true),
        ("admin", true),
        ("read call:light.* health:read", true),
        ("", false),
        ("read", false),
        ("call:*", false),
    ] {
        let decided = Permit::of_health(&caller(permissions)).map(|_| ());
        let denial = Denied {
            wanted: "health:read".into(),
        };
        assert_eq!(
            decided,
            if allowed { Ok(()) } else { Err(denial) },
            "{permissions}"
        );
    }
}

#[test]
fn direct_invocation_sees_everything() {
    let permit = Permit::of_invoker();
    assert_eq!(permit.reads(), &Reads::Everything);
    assert!(permit.shows_service("lock", "unlock"));
}

#[test]
fn unauthenticated_local_caller_is_authorised_for_everything() {
    let local = Caller::unproven();
    let asked = [command(json!({"type": "auth/long_lived_access_token"}))];
    assert!(Permit::of_commands(&local, &asked).is_ok());
    assert!(Permit::of_health(&local).is_ok());
}

#[test]
fn permit_allows_reading_the_permitted_entities() {
    let ping = [command(json!({"type": "ping"}))];
    for (permissions, seen, hidden) in [
        ("read", vec!["light.a", "lock.b"], vec![]),
        ("admin", vec!["light.a", "lock.b"], vec![]),
        ("read:*", vec!["light.a", "lock.b"], vec![]),
        ("read:**", vec!["light.a", "lock.b"], vec![]),
        ("read:light.*", vec!["light.a"], vec!["lock.b"]),
        (
            "read:light.a read:lock.b",
            vec!["light.a", "lock.b"],
            vec!["light.b"],
        ),
        ("", vec![], vec!["light.a"]),
        // A permission to call a service does not allow reading.
        ("call:* health:read", vec![], vec!["light.a"]),
        ("call:light.*:light.a", vec![], vec!["light.a"]),
    ] {
        let permit = Permit::of_commands(&caller(permissions), &ping).unwrap();
        for entity_id in seen {
            assert!(permit.reads().allow(entity_id), "{permissions} {entity_id}");
        }
        for entity_id in hidden {
            assert!(
                !permit.reads().allow(entity_id),
                "{permissions} {entity_id}"
            );
        }
    }
    for (permissions, is_everything, is_nothing) in [
        ("read", true, false),
        ("admin", true, false),
        ("read:light.*", false, false),
        ("call:*", false, true),
        ("health:read", false, true),
    ] {
        let reads = caller(permissions).reads();
        assert_eq!(reads == Reads::Everything, is_everything, "{permissions}");
        assert_eq!(reads.is_nothing(), is_nothing, "{permissions}");
    }
}

#[test]
fn batch_with_one_denied_command_is_denied() {
    let asked: Vec<Command> = ["light.a", "light.b"]
        .map(|id| {
            command(json!({
                "type": "call_service", "domain": "light", "service": "turn_on",
                "target": {"entity_id": id},
            }))
        })
        .into();
    for (permissions, wanted) in [
        ("call:light.turn_on:light.?", None),
        (
            "call:light.turn_on:light.a",
            Some("call:light.turn_on:light.b"),
        ),
        (
            "call:light.turn_on:light.b",
            Some("call:light.turn_on:light.a"),
        ),
    ] {
        let decided = Permit::of_commands(&caller(permissions), &asked);
        let found = decided.err().map(|denied| denied.wanted);
        assert_eq!(found.as_deref(), wanted, "{permissions}");
    }
    assert!(Permit::of_commands(&caller(""), &[]).is_ok());
}
