//! Outcomes that are kept under an idempotency key, shown to whoever repeats the request by what they may see now.

use latchkey_dev::home::HomeOptions;
use serde_json::{Value, json};
use testkit::Sandbox;
use testkit::callers::{request, token};

use super::DoorStage;

const TABLE: &str = "latchkey";

async fn ask(app: &Sandbox, permissions: &[&str], key: &str, commands: &Value) -> Value {
    let jwt = token(permissions, &json!({}));
    let body = json!({ "commands": commands, "idempotency_key": key });
    let event = request("POST", "/commands", Some(&jwt), Some(&body));
    let answer = app.handle(&event).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    body["results"].clone()
}

fn entities(results: &Value) -> Vec<&str> {
    let states = results[0]["result"].as_array().unwrap();
    let ids = states
        .iter()
        .map(|state| state["entity_id"].as_str().unwrap());
    ids.collect()
}

fn users(value: &Value) -> usize {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| usize::from(name == "user_id" && value.is_string()) + users(value))
            .sum(),
        Value::Array(values) => values.iter().map(users).sum(),
        _ => 0,
    }
}

/// What is too large to be kept takes no other outcome with it.
#[tokio::test]
async fn a_repeat_tells_the_outcomes_beside_a_result_that_was_too_large() {
    let options = HomeOptions {
        states_bytes: Some(400_000),
        ..HomeOptions::default()
    };
    let stage = DoorStage::at(options, &[]).await;
    let narrow = &["read:light.kitchen", "call:light.*:light.kitchen"][..];
    let commands = json!([
        {"type": "get_states"},
        {"type": "call_service", "domain": "light", "service": "toggle",
         "target": {"entity_id": "light.kitchen"}},
    ]);
    let first = ask(&stage.app, narrow, "k", &commands).await;
    assert_eq!(entities(&first), ["light.kitchen"]);
    let again = ask(&stage.app, narrow, "k", &commands).await;
    assert_eq!(again[0]["error"]["code"], "message-too-large", "{again}");
    assert_eq!(again[1], first[1]);
    let counters = stage.home.counters();
    assert_eq!(counters.calls_of("light", "toggle", "light.kitchen"), 1);
}

/// The same caller, first as an administrator and then with less, or the other way round: in the same environment, and
/// in another one.
#[tokio::test]
async fn a_repeat_shows_what_the_present_permissions_allow() {
    let stage = DoorStage::with(&[("TABLE_NAME", TABLE)]).await;
    stage.aws.create_table(TABLE).await.unwrap();
    let other = stage.another(&[("TABLE_NAME", TABLE)]).await;
    let narrow = &["read:light.kitchen", "call:light.*:light.kitchen"][..];
    let commands = json!([
        {"type": "get_states"},
        {"type": "get_config"},
        {"type": "get_services"},
        {"type": "call_service", "domain": "light", "service": "toggle",
         "target": {"entity_id": "light.kitchen"}},
    ]);
    let whole = ask(&stage.app, &["admin"], "a", &commands).await;
    assert!(entities(&whole).len() > 3);
    assert!(users(&whole) > 1);
    let cut = ask(&stage.app, narrow, "n", &commands).await;
    for app in [&stage.app, &other] {
        let seen = ask(app, narrow, "a", &commands).await;
        assert_eq!(entities(&seen), ["light.kitchen"]);
        assert_eq!(users(&seen), 0, "{seen}");
        for hidden in ["latitude", "longitude", "elevation", "internal_url"] {
            assert_eq!(seen[1]["result"].get(hidden), None);
            assert_eq!(cut[1]["result"].get(hidden), None);
        }
        assert_eq!(seen[2]["result"], cut[2]["result"]);
        assert_eq!(seen[3]["success"], true);
        // An administrator's own repeat, and of a narrow caller's key, are whole.
        let again = ask(app, &["admin"], "a", &commands).await;
        for (place, command) in commands.as_array().unwrap().iter().enumerate() {
            assert_eq!(again[place], whole[place], "{command}");
        }
        let of_narrow = ask(app, &["admin"], "n", &commands).await;
        assert_eq!(entities(&of_narrow), entities(&whole));
        assert_eq!(of_narrow[1]["result"], whole[1]["result"]);
        assert_eq!(of_narrow[2]["result"], whole[2]["result"]);
    }
    let toggled = stage.home.counters();
    assert_eq!(toggled.calls_of("light", "toggle", "light.kitchen"), 2);
}
