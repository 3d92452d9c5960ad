//! Tests of outcomes that are recorded under an idempotency key. A repeat shows only the data that the caller's
//! present permissions allow.

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

fn count_user_ids(value: &Value) -> usize {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                usize::from(name == "user_id" && value.is_string()) + count_user_ids(value)
            })
            .sum(),
        Value::Array(values) => values.iter().map(count_user_ids).sum(),
        _ => 0,
    }
}

/// A result that is too large for the record does not affect the other outcomes.
#[tokio::test]
async fn repeat_returns_the_other_outcomes_when_one_result_was_too_large() {
    let options = HomeOptions {
        states_bytes: Some(400_000),
        ..HomeOptions::default()
    };
    let stage = DoorStage::with_home(options, &[]).await;
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

/// A caller repeats a request with fewer permissions or with more permissions, in the same environment and in another
/// one.
#[tokio::test]
async fn repeat_shows_only_data_that_the_present_permissions_allow() {
    let stage = DoorStage::with_variables(&[("TABLE_NAME", TABLE)]).await;
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
    assert!(count_user_ids(&whole) > 1);
    let cut = ask(&stage.app, narrow, "n", &commands).await;
    for app in [&stage.app, &other] {
        let seen = ask(app, narrow, "a", &commands).await;
        assert_eq!(entities(&seen), ["light.kitchen"]);
        assert_eq!(count_user_ids(&seen), 0, "{seen}");
        for hidden in ["latitude", "longitude", "elevation", "internal_url"] {
            assert_eq!(seen[1]["result"].get(hidden), None);
            assert_eq!(cut[1]["result"].get(hidden), None);
        }
        assert_eq!(seen[2]["result"], cut[2]["result"]);
        assert_eq!(seen[3]["success"], true);
        // A repeat by an administrator is complete, even if the first request had fewer permissions.
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
