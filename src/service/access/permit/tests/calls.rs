//! Service calls. Calls by command and calls over REST are authorised by the same rules.

use super::*;

/// Returns a service call as a command.
pub(super) fn call(name: &str, target: Value, data: Value) -> Value {
    let (domain, service) = name.split_once('.').unwrap();
    json!({
        "type": "call_service", "domain": domain, "service": service,
        "target": target, "service_data": data,
    })
}

pub(super) fn on(name: &str, entity_id: Value) -> Value {
    call(name, json!({ "entity_id": entity_id }), json!({}))
}

pub(super) const LIGHTS: &str = "call:light.turn_on:light.*";

#[test]
fn call_requires_a_permission_for_service_and_entity() {
    let turn_on = |id: &str| on("light.turn_on", json!(id));
    check(
        [
            ("call:light.turn_on", turn_on("light.a"), None),
            ("call:light.*", turn_on("light.a"), None),
            ("call:*", turn_on("light.a"), None),
            ("call:*.turn_on", turn_on("light.a"), None),
            ("call:light.turn_on:light.a", turn_on("light.a"), None),
            (LIGHTS, turn_on("light.a"), None),
            ("call:light.turn_on:*", turn_on("light.a"), None),
            ("call:light.turn_on:light.?", turn_on("light.a"), None),
            (
                "call:light.turn_off call:light.turn_on",
                turn_on("light.a"),
                None,
            ),
            ("", turn_on("light.a"), Some("call:light.turn_on:light.a")),
            (
                "read health:read",
                turn_on("light.a"),
                Some("call:light.turn_on:light.a"),
            ),
            (
                "call:light.turn_off",
                turn_on("light.a"),
                Some("call:light.turn_on:light.a"),
            ),
            (
                "call:switch.*",
                turn_on("light.a"),
                Some("call:light.turn_on:light.a"),
            ),
            (
                "call:light.turn_on:light.a",
                turn_on("light.ab"),
                Some("call:light.turn_on:light.ab"),
            ),
            (LIGHTS, turn_on("lock.a"), Some("call:light.turn_on:lock.a")),
            // Two permissions that each match only the service or only the entity are not sufficient.
            (
                "call:light.turn_off:light.a call:light.turn_on:light.b",
                turn_on("light.a"),
                Some("call:light.turn_on:light.a"),
            ),
        ],
        run,
    );
}

#[test]
fn script_call_requires_a_permission_for_the_script_entity() {
    let named = |name: &str| on(name, json!("light.a"));
    check(
        [
            (
                "call:script.movie",
                call("script.movie", json!({}), json!({})),
                None,
            ),
            (
                "call:script.*:script.movie",
                on("script.turn_on", json!("script.movie")),
                None,
            ),
            (
                "call:script.*:script.movie",
                on("script.movie", json!("script.movie")),
                None,
            ),
            (
                "call:*:light.* call:*:script.movie",
                named("script.movie"),
                None,
            ),
            (
                "call:*:light.*",
                named("script.movie"),
                Some("call:script.movie:script.movie"),
            ),
            (
                "call:*:light.*",
                named("script.reload"),
                Some("call:script.reload"),
            ),
            ("call:script.*:light.*", named("script.turn_off"), None),
            ("call:script.*:light.*", named("script.toggle"), None),
            (
                "call:script.*:script.movie",
                on("script.turn_on", json!("script.unlock")),
                Some("call:script.turn_on:script.unlock"),
            ),
            (
                "call:script.*:light.*",
                call("script.x", json!({}), json!({})),
                Some("call:script.x"),
            ),
        ],
        run,
    );
}

#[test]
fn service_without_entities_requires_a_permission_with_its_domain() {
    let mut rows = Vec::new();
    for (name, wanted) in [
        ("shell_command.reboot", "call:shell_command.reboot:light.a"),
        ("rest_command.open", "call:rest_command.open:light.a"),
        ("python_script.x", "call:python_script.x:light.a"),
        ("pyscript.x", "call:pyscript.x:light.a"),
        ("notify.mobile_app_x", "call:notify.mobile_app_x:light.a"),
        ("mqtt.publish", "call:mqtt.publish:light.a"),
        // A sentence may name any entity.
        ("conversation.process", "call:conversation.process"),
        ("tts.cloud_say", "call:tts.cloud_say:light.a"),
        ("group.set", "call:group.set:light.a"),
        ("intent_script.x", "call:intent_script.x:light.a"),
    ] {
        let asked = on(name, json!("light.a"));
        rows.push(("call:*:light.*", asked.clone(), Some(wanted)));
        rows.push(("call:*.*:light.*", asked.clone(), Some(wanted)));
        rows.push(("call:*:*", asked.clone(), None));
        rows.push(("call:*", asked, None));
    }
    for name in [
        "light.turn_on",
        "homeassistant.turn_on",
        "media_player.play_media",
    ] {
        rows.push(("call:*:light.*", on(name, json!("light.a")), None));
        rows.push(("call:*.*:light.*", on(name, json!("light.a")), None));
    }
    let shell = || on("shell_command.x", json!("light.a"));
    let wanted = Some("call:shell_command.x:light.a");
    rows.extend([
        ("call:shell_command.*:light.*", shell(), None),
        ("call:shell_command.x:light.a", shell(), None),
        ("call:shell_*.x:light.a", shell(), wanted),
        ("call:?hell_command.x:light.a", shell(), wanted),
        (
            "call:sonos.*:media_player.*",
            on("sonos.join", json!("media_player.a")),
            None,
        ),
    ]);
    check(rows, run);
}

#[test]
fn administrative_services_require_admin() {
    let mut rows = Vec::new();
    for name in [
        "homeassistant.restart",
        "homeassistant.stop",
        "homeassistant.check_config",
        "homeassistant.reload_all",
        "homeassistant.reload_core_config",
        "homeassistant.reload_config_entry",
        "homeassistant.reload_custom_templates",
        "homeassistant.set_location",
        "homeassistant.save_persistent_states",
        "homeassistant.whatever_comes_next",
        "HomeAssistant.Restart",
        " homeassistant . restart ",
        "backup.create",
        "hassio.host_shutdown",
        "hassio.addon_stdin",
        "logger.set_level",
        "recorder.purge",
        "system_log.clear",
    ] {
        for permissions in ["call:*", "call:*:*", "read call:* health:read"] {
            rows.push((permissions, on(name, json!("light.a")), Some("admin")));
            rows.push((permissions, call(name, json!({}), json!({})), Some("admin")));
        }
    }
    rows.push((
        "call:homeassistant.restart",
        on("homeassistant.restart", json!("x.y")),
        Some("admin"),
    ));
    for name in [
        "homeassistant.turn_on",
        "homeassistant.turn_off",
        "homeassistant.toggle",
        "homeassistant.update_entity",
        // Similar names are other domains and services.
        "light.restart",
        "backups.create",
    ] {
        rows.push(("call:*", on(name, json!("light.a")), None));
    }
    check(rows, run);
}

#[test]
fn call_without_a_valid_service_name_is_denied() {
    let asked = |domain: Value, service: Value| {
        json!({
            "type": "call_service", "domain": domain, "service": service,
            "target": {"entity_id": "light.a"},
        })
    };
    let all = "read call:* health:read";
    check(
        [
            (LIGHTS, asked(json!("Light"), json!("TURN_ON")), None),
            (LIGHTS, asked(json!(" light "), json!("turn_on\n")), None),
            (all, asked(json!(null), json!("turn_on")), Some("admin")),
            (all, asked(json!("light"), json!(null)), Some("admin")),
            (
                all,
                asked(json!(["light"]), json!("turn_on")),
                Some("admin"),
            ),
            (all, asked(json!("light"), json!(5)), Some("admin")),
            (all, json!({"type": "call_service"}), Some("admin")),
            (
                all,
                json!({"type": "call_service", "service": "light.turn_on"}),
                Some("admin"),
            ),
            // The denial does not repeat an invalid name. It names the broadest permission for calls.
            (
                LIGHTS,
                asked(json!("light"), json!("turn on")),
                Some("call:*"),
            ),
            (LIGHTS, asked(json!("light"), json!("")), Some("call:*")),
            (LIGHTS, asked(json!(""), json!("turn_on")), Some("call:*")),
            (
                LIGHTS,
                asked(json!("light.turn_on"), json!("x")),
                Some("call:*"),
            ),
            (
                LIGHTS,
                asked(json!("light"), json!("eyJ.eyJ.x")),
                Some("call:*"),
            ),
            (LIGHTS, asked(json!("*"), json!("*")), Some("call:*")),
            (LIGHTS, asked(json!("light"), json!("a:b")), Some("call:*")),
            (
                "call:light.*",
                asked(json!("light"), json!("turn on")),
                None,
            ),
        ],
        run,
    );
}

#[test]
fn denial_of_a_name_outside_the_grammar_names_a_broader_permission() {
    let long = "a".repeat(300);
    let on_long = on("light.turn_on", json!(format!("light.{long}")));
    check(
        [
            ("", on_long.clone(), Some("call:light.turn_on")),
            (LIGHTS, on_long, None),
            (
                "",
                on(&format!("light.{long}"), json!("light.a")),
                Some("call:*"),
            ),
            (
                "",
                on(&format!("light.{long}"), json!("all")),
                Some("call:*"),
            ),
        ],
        run,
    );
}
