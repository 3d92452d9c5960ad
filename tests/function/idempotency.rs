//! Idempotency keys of two execution environments that share a table.

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::{Stage, invoke, light, problem, sample};

use crate::BOOTSTRAP;

const TABLE: &str = "latchkey";

/// Returns a request body with these commands and this idempotency key.
fn request(key: &str, commands: &[Value]) -> String {
    json!({ "commands": commands, "idempotency_key": key }).to_string()
}

fn toggle() -> Value {
    light("toggle", "light.kitchen")
}

/// Sends a body to `POST /commands`. Returns the status and the body of the response.
async fn post(function: &Function, body: String) -> (Value, Value) {
    let mut event = sample("events/http-api-command.json");
    event["body"] = body.into();
    let answer = invoke(function, &event).await;
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (answer["statusCode"].clone(), body)
}

#[tokio::test]
async fn repeat_with_idempotency_key_is_executed_once_across_environments() {
    let stage = Stage::builder().table(TABLE).start().await;
    let environment = async || {
        let options = stage.options(BOOTSTRAP).env("TABLE_NAME", TABLE);
        Function::start(options).await.unwrap()
    };
    let (one, two) = (environment().await, environment().await);
    let body = request("k", &[toggle(), json!({ "type": "get_states" })]);
    let (status, first) = post(&one, body.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(first["results"][0]["outcome"], "answered");
    stage.home.set_state("light.kitchen", "unavailable");
    assert_eq!(post(&two, body.clone()).await, (status, first.clone()));
    let direct = invoke(&two, &serde_json::from_str(&body).unwrap()).await;
    assert_eq!(direct["results"], first["results"]);
    assert_eq!(stage.executed(), 1);

    let other = request("k", &[light("turn_on", "light.bedroom")]);
    let (status, refused) = post(&two, other).await;
    assert_eq!(status, 400);
    assert_eq!(problem(&refused), "bad-request");
    assert_eq!(stage.executed(), 1);
}
