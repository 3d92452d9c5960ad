//! Commands through every entry point. The test reads their effects back from the home.

use latchkey_dev::stack::{Function, RealHome};
use serde_json::{Value, json};
use testkit::{Stage, invoke, light, sample};

use crate::BOOTSTRAP;

/// Returns the names of the members of an object, in alphabetical order.
fn members(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn assert_done(result: &Value) {
    assert_eq!(members(result), ["outcome", "result", "success"]);
    assert_eq!(result["outcome"], "answered");
    assert_eq!(result["success"], true);
}

/// Returns the parsed body of an answer to any kind of HTTP event.
fn http_body(answer: &Value, status: u16) -> Value {
    assert_eq!(answer["statusCode"], status, "{answer}");
    assert_eq!(answer["isBase64Encoded"], false, "{answer}");
    let content_type = answer
        .pointer("/headers/content-type")
        .or_else(|| answer.pointer("/multiValueHeaders/content-type/0"));
    assert_eq!(content_type, Some(&json!("application/json")), "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn commands_change_the_home_through_every_entry_point() {
    let stage = Stage::real().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let Stage { home, aws, .. } = stage;

    check_direct_commands(&function, &home).await;
    check_http_commands(&function, &home).await;
    check_errors_of_the_home(&function, &home).await;

    for event in ["events/http-api-health.json", "events/alb-health.json"] {
        let health = http_body(&invoke(&function, &sample(event)).await, 200);
        assert_eq!(health["status"], "healthy", "{health}");
        assert_eq!(health["service"], "latchkey");
        assert_eq!(members(&health), ["service", "status", "timestamp"]);
    }
    assert_eq!(aws.calls_of(testkit::GET_PARAMETER).await.unwrap(), 1);
    assert_eq!(home.failed_logins().await.unwrap(), 0);
    function.stop().await;
    aws.stop().await;
    home.stop().await;
}

async fn check_direct_commands(function: &Function, home: &RealHome) {
    const LIGHT: &str = "light.bed_light";
    for (service, state) in [("turn_on", "on"), ("turn_off", "off"), ("toggle", "on")] {
        let answer = invoke(function, &json!({ "command": light(service, LIGHT) })).await;
        assert_eq!(members(&answer), ["results", "statusCode"]);
        assert_eq!(answer["statusCode"], 200);
        assert_eq!(answer["results"].as_array().unwrap().len(), 1);
        assert_done(&answer["results"][0]);
        assert!(answer["results"][0]["result"]["context"]["id"].is_string());
        assert_eq!(home.state(LIGHT).await.unwrap(), state);
    }
    // A batch runs in order: its third command reads the effects of the first two.
    let batch = json!({ "commands": [
        light("turn_off", LIGHT),
        light("turn_on", "light.ceiling_lights"),
        { "type": "get_states" },
        { "type": "ping" },
    ] });
    let answer = invoke(function, &batch).await;
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    results.iter().for_each(assert_done);
    let states = results[2]["result"].as_array().unwrap();
    let state_of = |entity: &str| {
        let found = states.iter().find(|state| state["entity_id"] == entity);
        found.unwrap()["state"].as_str().unwrap()
    };
    assert_eq!(state_of(LIGHT), "off");
    assert_eq!(state_of("light.ceiling_lights"), "on");
    assert_eq!(results[3]["result"], Value::Null);
    assert_eq!(home.state(LIGHT).await.unwrap(), "off");
}

async fn check_http_commands(function: &Function, home: &RealHome) {
    const LIGHT: &str = "light.kitchen_lights";
    let mut is_on = home.state(LIGHT).await.unwrap() == "on";
    for event in [
        "events/http-api-command.json",
        "events/rest-api-command.json",
        "events/function-url-command.json",
        "tests/fixtures/events/alb-command.json",
        "tests/fixtures/events/alb-command-multi-value.json",
    ] {
        is_on = !is_on;
        let (service, state) = if is_on {
            ("turn_on", "on")
        } else {
            ("turn_off", "off")
        };
        let mut event = sample(event);
        let commands = json!({ "commands": [light(service, LIGHT), { "type": "ping" }] });
        event["body"] = commands.to_string().into();
        let body = http_body(&invoke(function, &event).await, 200);
        assert_eq!(members(&body), ["results"]);
        let results = body["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        results.iter().for_each(assert_done);
        assert_eq!(home.state(LIGHT).await.unwrap(), state, "{event}");
    }
}

async fn check_errors_of_the_home(function: &Function, home: &RealHome) {
    let no_entity = light("turn_on", "light.nowhere");
    let mut bad_data = light("turn_on", "light.bed_light");
    bad_data["service_data"] = json!({ "brightness": "blinding" });
    for (command, code) in [
        (light("no_such_service", "light.bed_light"), "not_found"),
        (bad_data, "invalid_format"),
        (
            json!({ "type": "call_service", "domain": 5 }),
            "invalid_format",
        ),
        (json!({ "type": "no/such/command" }), "unknown_command"),
    ] {
        let answer = invoke(function, &json!({ "commands": [command, no_entity] })).await;
        assert_eq!(answer["statusCode"], 200);
        let refused = &answer["results"][0];
        assert_eq!(members(refused), ["error", "outcome", "success"]);
        assert_eq!(refused["outcome"], "answered");
        assert_eq!(refused["success"], false);
        assert_eq!(members(&refused["error"]), ["code", "message"]);
        assert_eq!(refused["error"]["code"], code, "{command}");
        // The error equals the error that a direct client of the home gets.
        let said = home.call(command).await.unwrap_err().to_string();
        let said: Value = serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
        assert_eq!(refused["error"]["code"], said["code"]);
        assert_eq!(refused["error"]["message"], said["message"]);
        // The next command of the batch still runs. Home Assistant accepts an unknown entity.
        assert_done(&answer["results"][1]);
    }
}
