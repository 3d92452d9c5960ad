//! Commands other than service calls.

use super::*;

fn of(kind: &str) -> Value {
    json!({ "type": kind })
}

#[test]
fn configuration_and_states_require_read_permission() {
    check(
        [
            ("", of("ping"), None),
            ("", of("get_states"), Some("read")),
            ("", of("get_config"), Some("read")),
            ("", of("get_services"), Some("read")),
            (
                "call:light.turn_on health:read",
                of("get_states"),
                Some("read"),
            ),
            (
                "call:light.turn_on health:read",
                of("get_config"),
                Some("read"),
            ),
            ("health:read", of("get_services"), Some("read")),
            ("read:light.a", of("get_states"), None),
            ("read:light.a", of("get_config"), None),
            ("read:light.a", of("get_services"), None),
            ("call:light.turn_on:light.a", of("get_services"), None),
            ("read", of("get_states"), None),
        ],
        run,
    );
}

#[test]
fn history_and_logbook_require_read_permission() {
    let history = |ids: Value| json!({"type": "history/history_during_period", "entity_ids": ids});
    let logbook = |ids: Value| json!({"type": "logbook/get_events", "entity_ids": ids});
    let statistics =
        |ids: Value| json!({"type": "recorder/statistics_during_period", "statistic_ids": ids});
    let mut rows = Vec::new();
    for ask in [history, logbook, statistics] {
        rows.extend([
            ("read:light.*", ask(json!(["light.a"])), None),
            ("read:light.*", ask(json!(["light.a", "light.b"])), None),
            ("read:light.*", ask(json!("light.a, light.b")), None),
            ("read:light.*", ask(json!([" Light.A "])), None),
            (
                "read:light.a read:light.b",
                ask(json!(["light.a", "light.b"])),
                None,
            ),
            ("read", ask(json!(["light.a", "lock.b"])), None),
            ("read", ask(json!([])), None),
            ("", ask(json!(["light.a"])), Some("read:light.a")),
            ("call:*", ask(json!(["light.a"])), Some("read:light.a")),
            (
                "read:light.*",
                ask(json!(["light.a", "lock.b"])),
                Some("read:lock.b"),
            ),
            (
                "read:light.*",
                ask(json!(["lock.b", "light.a"])),
                Some("read:lock.b"),
            ),
            (
                "read:light.*",
                ask(json!("light.a,lock.b")),
                Some("read:lock.b"),
            ),
            (
                "read:light.*",
                ask(json!(["light.a, lock.b"])),
                Some("read:lock.b"),
            ),
            (
                "read:light.*",
                ask(json!([["light.a"], ["lock.b"]])),
                Some("read:lock.b"),
            ),
            // A missing or invalid list means all entities.
            ("read:light.*", ask(json!([])), Some("read")),
            ("read:light.*", ask(json!("")), Some("read")),
            ("read:light.*", ask(json!(",")), Some("read")),
            ("read:light.*", ask(json!(["light.a", ""])), Some("read")),
            ("read:light.*", ask(json!(["", "light.a"])), Some("read")),
            ("read:light.*", ask(json!(["light.a", 5])), Some("read")),
            ("read:light.*", ask(json!(["light.a", null])), Some("read")),
            ("read:light.*", ask(json!("all")), Some("read")),
            ("read:light.*", ask(json!(["light.a", "all"])), Some("read")),
            (
                "read:light.*",
                ask(json!(["light.a", "energy:total"])),
                Some("read"),
            ),
            ("read:light.*", ask(json!("light.*")), Some("read")),
            ("read:light.*", ask(json!({"light.a": 1})), Some("read")),
            ("read:light.*", ask(json!(null)), Some("read")),
        ]);
    }
    for kind in [
        "history/history_during_period",
        "logbook/get_events",
        "recorder/statistics_during_period",
    ] {
        rows.push(("read:light.*", of(kind), Some("read")));
        rows.push(("read", of(kind), None));
    }
    // Each command has its own member with the list.
    rows.extend([
        (
            "read:light.*",
            json!({"type": "recorder/statistics_during_period", "entity_ids": ["light.a"]}),
            Some("read"),
        ),
        (
            "read:light.*",
            json!({"type": "history/history_during_period", "statistic_ids": ["light.a"]}),
            Some("read"),
        ),
    ]);
    let devices = |ids: Value| json!({"type": "logbook/get_events", "entity_ids": ["light.a"], "device_ids": ids});
    rows.extend([
        ("read:light.*", devices(json!(["0123"])), Some("read")),
        ("read:light.*", devices(json!([])), Some("read")),
        ("read", devices(json!(["0123"])), None),
    ]);
    check(rows, run);
}

/// All permissions except `admin`.
const ALL_BUT_ADMIN: &str = "read call:* health:read";

#[test]
fn other_commands_require_admin() {
    let kinds = [
        "auth/current_user",
        "auth/long_lived_access_token",
        "auth/sign_path",
        "auth/delete_all_refresh_tokens",
        "config/auth/list",
        "config/auth/create",
        "config/area_registry/list",
        "config/device_registry/list",
        "config/entity_registry/list",
        "config/entity_registry/update",
        "config/core/update",
        "config_entries/get",
        "fire_event",
        "execute_script",
        "test_condition",
        "validate_config",
        "extract_from_target",
        "lovelace/config",
        "lovelace/config/save",
        "frontend/set_user_data",
        "media_source/browse_media",
        "camera/stream",
        "conversation/process",
        "assist_pipeline/run",
        "backup/generate",
        "supervisor/api",
        "hassio/update/addon",
        "recorder/clear_statistics",
        "recorder/list_statistic_ids",
        "system_log/list",
        "system_health/info",
        "logger/log_level",
        "diagnostics/list",
        "trace/list",
        "webhook/list",
        "zha/devices",
        "zwave_js/node_status",
        "manifest/list",
        "entity/source",
        "search/related",
        "shopping_list/items",
        "history/list",
        "logbook",
        "unknown",
        // Names that are similar to known commands.
        "Ping",
        " ping",
        "ping ",
        "GET_STATES",
        "get_states ",
        "get_state",
        "Call_Service",
        "call_service ",
        "history/history_during_period/",
    ];
    let rows = kinds.into_iter().flat_map(|kind| {
        [
            (ALL_BUT_ADMIN, of(kind), Some("admin")),
            ("", of(kind), Some("admin")),
        ]
    });
    check(rows, run);
    // The members of a known command do not make another command known.
    let disguised = json!({
        "type": "execute_script", "domain": "light", "service": "turn_on",
        "target": {"entity_id": "light.a"}, "entity_ids": ["light.a"],
    });
    check([(ALL_BUT_ADMIN, disguised, Some("admin"))], run);
}
