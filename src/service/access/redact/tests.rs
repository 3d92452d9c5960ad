//! Tests of the redaction of each kind of answer. An answer with another format is an error.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::service::access::{Caller, Permission};

fn permit(permissions: &[&str]) -> Permit {
    let caller = Caller {
        subject: "s".into(),
        tenant: None,
        permissions: permissions
            .iter()
            .map(|text| Permission::parse(text).unwrap())
            .collect(),
        plan: None,
        expires_at: Duration::MAX,
    };
    let command = Command::new(json!({"type": "ping"})).unwrap();
    Permit::of_commands(&caller, &[command]).unwrap()
}

fn seen(permissions: &[&str], command: &Value, result: &Value) -> Value {
    let command = Command::new(command.clone()).unwrap();
    let seen = permit(permissions).redacted_result(&command, &result.to_string());
    serde_json::from_str(&seen.unwrap()).unwrap()
}

fn request(line: &str) -> RestRequest {
    let (method, path) = line.split_once(' ').unwrap();
    RestRequest::new(method.parse().unwrap(), path, "", bytes::Bytes::new()).unwrap()
}

fn answered(permissions: &[&str], line: &str, body: &Value) -> Result<Value, Unreadable> {
    let seen = permit(permissions).redacted_answer(&request(line), body.to_string().as_bytes())?;
    Ok(serde_json::from_str(&seen).unwrap())
}

#[test]
fn unreadable_states_are_removed() {
    let states = json!([
        {"entity_id": "light.a", "state": "on", "context": {"id": "x", "user_id": "u"}},
        {"entity_id": "lock.b", "state": "locked"},
    ]);
    let command = json!({"type": "get_states"});
    assert_eq!(seen(&["read"], &command, &states), states);
    let visible =
        json!([{"entity_id": "light.a", "state": "on", "context": {"id": "x", "user_id": null}}]);
    assert_eq!(seen(&["read:light.*"], &command, &states), visible);
    assert_eq!(seen(&["call:light.*"], &command, &states), json!([]));
    assert_eq!(
        answered(&["read:light.*"], "GET /states", &states),
        Ok(visible)
    );
}

#[test]
fn location_of_the_home_is_shown_only_with_full_read_permission() {
    let config = json!({
        "version": "2026.1", "state": "RUNNING", "components": ["light"],
        "latitude": 52.1, "longitude": 4.3, "elevation": 3, "radius": 100, "country": "NL",
        "internal_url": "http://10.0.0.2:8123", "external_url": null, "config_dir": "/config",
        "allowlist_external_dirs": [], "something_new": 1,
    });
    let cut = json!({"version": "2026.1", "state": "RUNNING", "components": ["light"]});
    let command = json!({"type": "get_config"});
    assert_eq!(seen(&["read"], &command, &config), config);
    assert_eq!(seen(&["read:light.*"], &command, &config), cut);
    let asked = request("GET /config");
    assert!(!permit(&["read"]).redacts_answer(&asked));
    assert!(permit(&["read:light.*"]).redacts_answer(&asked));
    assert_eq!(answered(&["read:light.*"], "GET /config", &config), Ok(cut));
}

#[test]
fn services_that_the_caller_cannot_call_are_removed() {
    let services = json!({
        "light": {"turn_on": {"name": "x"}, "turn_off": {}},
        "lock": {"unlock": {}},
    });
    let command = json!({"type": "get_services"});
    let caller = &["call:light.turn_on:light.a"][..];
    assert_eq!(
        seen(caller, &command, &services),
        json!({"light": {"turn_on": {"name": "x"}}})
    );
    assert_eq!(seen(&["read"], &command, &services), services);
    let listed = json!([
        {"domain": "light", "services": {"turn_on": {"name": "x"}, "turn_off": {}}},
        {"domain": "lock", "services": {"unlock": {}}},
    ]);
    assert_eq!(
        answered(caller, "GET /services", &listed),
        Ok(json!([{"domain": "light", "services": {"turn_on": {"name": "x"}}}]))
    );
}

#[test]
fn context_of_a_call_hides_the_user_of_the_homes_token() {
    let command = json!({"type": "call_service", "domain": "light", "service": "turn_on",
        "target": {"entity_id": "light.a"}});
    let result =
        json!({"context": {"id": "x", "parent_id": null, "user_id": "u"}, "response": null});
    let seen = seen(&["call:light.*:light.a"], &command, &result);
    assert_eq!(
        seen,
        json!({"context": {"id": "x", "parent_id": null, "user_id": null}, "response": null})
    );
}

#[test]
fn response_of_a_call_shows_the_entities_that_the_call_named() {
    let command = json!({"type": "call_service", "domain": "weather", "service": "get_forecasts",
        "target": {"entity_id": "weather.a"}, "service_data": {"type": "daily"}});
    let result =
        json!({"context": {}, "response": {"weather.a": {"forecast": []}, "weather.b": {}}});
    assert_eq!(
        seen(&["call:weather.*:weather.a"], &command, &result)["response"],
        json!({"weather.a": {"forecast": []}})
    );
}

#[test]
fn logbook_hides_unreadable_entities() {
    let entries = json!([
        {"when": "2026-01-01", "entity_id": "light.a", "state": "on", "name": "A",
         "context_user_id": "u", "context_entity_id": "automation.x", "context_entity_id_name": "X",
         "context_name": "X", "context_message": "triggered", "context_domain": "automation",
         "context_event_type": "automation_triggered", "context_source": "state of lock.b"},
        {"entity_id": "light.a", "context_entity_id": "light.b", "context_name": "B",
         "context_user_id": "u"},
        {"entity_id": "lock.b", "state": "locked"},
        {"name": "Home Assistant", "message": "started"},
    ]);
    let visible = json!([
        {"when": "2026-01-01", "entity_id": "light.a", "state": "on", "name": "A"},
        {"entity_id": "light.a", "context_entity_id": "light.b", "context_name": "B",
         "context_user_id": null},
    ]);
    assert_eq!(
        answered(&["read:light.*"], "GET /logbook", &entries),
        Ok(visible.clone())
    );
    let command = json!({"type": "logbook/get_events", "entity_ids": ["light.a"]});
    assert_eq!(seen(&["read:light.*"], &command, &entries), visible);
    assert_eq!(seen(&["read"], &command, &entries), entries);
}

#[test]
fn errors_hide_entities_that_the_caller_does_not_know() {
    let command = Command::new(json!({"type": "call_service", "domain": "light",
        "service": "turn_on", "target": {"entity_id": "light.b"}}));
    let narrow = permit(&["read:light.a", "call:light.*:light.b"]);
    let message = "light.a, light.b and lock.front_door".to_owned();
    let seen = narrow.redacted_message(&command.unwrap(), message.clone());
    assert_eq!(seen, "light.a, light.b and [redacted]");
    let asked = request("GET /states/light.a");
    let body = json!({ "message": message }).to_string();
    assert_eq!(
        narrow.redacted_error(&asked, body.as_bytes()),
        r#"{"message":"light.a, [redacted] and [redacted]"}"#
    );
    assert_eq!(
        narrow.redacted_error(&asked, b"404: no lock.front_door\xff"),
        "404: no [redacted]\u{fffd}"
    );
    let all = permit(&["read"]);
    assert_eq!(all.redacted_error(&asked, body.as_bytes()), body);
}

#[test]
fn history_hides_unreadable_entities() {
    let lists = json!([
        [{"entity_id": "light.a", "state": "on", "context": {"user_id": "u"}}, {"state": "off"}],
        [{"entity_id": "lock.b", "state": "locked"}],
        [],
    ]);
    assert_eq!(
        answered(&["read:light.*"], "GET /history/period", &lists),
        Ok(
            json!([[{"entity_id": "light.a", "state": "on", "context": {"user_id": null}},
            {"state": "off"}]])
        )
    );
    let by_entity = json!({"light.a": [{"s": "on"}], "lock.b": [{"s": "locked"}]});
    for kind in [
        "history/history_during_period",
        "recorder/statistics_during_period",
    ] {
        let seen = seen(&["read:light.*"], &json!({"type": kind}), &by_entity);
        assert_eq!(seen, json!({"light.a": [{"s": "on"}]}), "{kind}");
    }
}

#[test]
fn state_of_another_entity_is_an_error() {
    let state = json!({"entity_id": "light.a", "attributes": {"entity_id": ["lock.b"]},
        "context": {"user_id": "u"}});
    assert_eq!(
        answered(&["read:light.*"], "GET /states/light.a", &state),
        Ok(
            json!({"entity_id": "light.a", "attributes": {"entity_id": []}, "context": {"user_id": null}})
        )
    );
    let other = json!({"entity_id": "lock.b"});
    assert_eq!(
        answered(&["read:light.*"], "GET /states/light.a", &other),
        Err(Unreadable)
    );
}

/// Returns each command and route whose answers are redacted.
fn all() -> (Vec<Command>, Vec<RestRequest>) {
    let commands = [
        "get_states",
        "get_services",
        "get_config",
        "call_service",
        "history/history_during_period",
        "recorder/statistics_during_period",
        "logbook/get_events",
    ];
    let commands = commands.map(|kind| Command::new(json!({ "type": kind })).unwrap());
    let routes = [
        "GET /config",
        "GET /states",
        "GET /states/light.a",
        "GET /services",
        "POST /services/light/turn_on",
        "GET /history/period",
        "GET /logbook",
        "GET /calendars",
        "GET /calendars/calendar.a",
    ];
    (commands.into(), routes.map(request).into())
}

#[test]
fn answer_with_an_unexpected_format_is_an_error() {
    let permit = permit(&["read:light.*", "call:light.*"]);
    let (commands, requests) = all();
    for text in [
        "",
        " ",
        "<!DOCTYPE html><html><body>Sign in</body></html>",
        "[",
        "{",
        "[{\"entity_id\":\"light.a\"",
        "nonsense",
        "{}x",
        "\u{feff}[]",
    ] {
        for command in &commands {
            let seen = permit.redacted_result(command, text);
            assert_eq!(seen, Err(Unreadable), "{}: {text}", command.kind());
        }
        for request in &requests {
            let seen = permit.redacted_answer(request, text.as_bytes());
            assert_eq!(seen, Err(Unreadable), "{request:?}: {text}");
        }
    }
    for request in &requests {
        let seen = permit.redacted_answer(request, b"[\xff]");
        assert_eq!(seen, Err(Unreadable), "{request:?}");
    }
    // The answer is JSON of another shape.
    for (line, body) in [
        ("GET /states", json!({})),
        ("GET /states", json!([{"state": "on"}])),
        ("GET /states", json!([5])),
        ("GET /states/light.a", json!([])),
        ("GET /states/light.a", json!({"state": "on"})),
        ("GET /config", json!({})),
        ("GET /config", json!([{"version": "1"}])),
        ("GET /services", json!({"light": {}})),
        ("GET /services", json!([{"domain": "light"}])),
        ("POST /services/light/turn_on", json!({})),
        ("POST /services/light/turn_on", json!([{"version": "1"}])),
        ("GET /history/period", json!([{}])),
        ("GET /history/period", json!([[{"state": "on"}]])),
        ("GET /logbook", json!({})),
        ("GET /logbook", json!([5])),
    ] {
        let seen = answered(&["read:light.*", "call:light.*"], line, &body);
        assert_eq!(seen, Err(Unreadable), "{line}: {body}");
    }
}

proptest::proptest! {
    /// A redacted answer is an error, or it shows no lock and no user.
    #[test]
    fn arbitrary_answer_never_shows_unreadable_entities(
        text in proptest::string::string_regex(
            r#"(\[|\{|\}|\]|,|:|"entity_id"|"lock\.front"|"light\.a"|"user_id"|"canary"|"context"|1|null|"x"){0,24}"#,
        ).unwrap(),
    ) {
        let permit = permit(&["read:light.*", "call:light.*"]);
        let (commands, requests) = all();
        let seen = commands
            .iter()
            .map(|command| permit.redacted_result(command, &text));
        let seen = seen.chain(
            requests
                .iter()
                .map(|request| permit.redacted_answer(request, text.as_bytes())),
        );
        for json in seen.flatten() {
            proptest::prop_assert!(!json.contains("lock.front"), "{}", json);
            proptest::prop_assert!(serde_json::from_str::<Value>(&json).is_ok(), "{}", json);
            proptest::prop_assert!(!json.contains(r#""user_id":"canary""#), "{}", json);
        }
    }
}
