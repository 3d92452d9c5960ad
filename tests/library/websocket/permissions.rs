//! Permissions over the WebSocket door are those of the HTTP door.

use serde_json::{Value, json};
use testkit::callers::{run, token};
use testkit::light;

use super::SocketStage;

/// Commands, and the permissions of their callers.
fn rows() -> Vec<(Vec<&'static str>, Value)> {
    let permissions = [
        vec![],
        vec!["read"],
        vec!["read:light.*"],
        vec!["call:*"],
        vec!["call:light.*:light.kitchen"],
        vec!["call:light.turn_off"],
        vec!["health:read"],
        vec!["read", "call:*"],
        vec!["admin"],
    ];
    let commands = [
        json!({"type": "get_states"}),
        json!({"type": "get_config"}),
        json!({"type": "get_services"}),
        light("turn_on", "light.kitchen"),
        light("turn_on", "light.bedroom"),
        json!({"type": "call_service", "domain": "homeassistant", "service": "restart"}),
        json!({"type": "auth/refresh_tokens"}),
        json!({"type": "config/entity_registry/list"}),
        json!({"type": "fire_event", "event_type": "x"}),
        json!({"type": "history/history_during_period", "entity_ids": ["light.kitchen"], "start_time": "2026-01-01"}),
        json!({"type": "logbook/get_events", "start_time": "2026-01-01"}),
    ];
    let rows = permissions.iter().flat_map(|permissions| {
        let commands = commands.iter();
        commands.map(move |command| (permissions.clone(), command.clone()))
    });
    rows.collect()
}

#[tokio::test]
async fn each_permission_decides_as_over_http() {
    let stage = SocketStage::with(&[
        ("CALLER_RATE_LIMITS", "*=unlimited"),
        ("CALLER_CONNECTION_LIMITS", "*=1000/1000/1/1000"),
    ])
    .await;
    for (row, (permissions, command)) in rows().into_iter().enumerate() {
        let jwt = token(&permissions, &json!({}));
        let http = stage.app.handle(&run(Some(&jwt), &command)).await;
        let is_denied = http["statusCode"] == 403;
        let http: Value = serde_json::from_str(http["body"].as_str().unwrap()).unwrap();

        let socket = stage.open(&format!("row-{row}"), &permissions).await;
        let mut message = command.clone();
        message["id"] = json!(1);
        let answer = stage.send(&socket, &message).await;
        let context = format!("{permissions:?} {command}: {answer} {http}");
        assert_eq!(
            answer["error"]["code"] == "unauthorized",
            is_denied,
            "{context}"
        );
        if !is_denied && command["type"] != "call_service" {
            assert_eq!(answer["result"], http["results"][0]["result"], "{context}");
        }
    }
}
