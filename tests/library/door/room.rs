//! Tests of size limits: the response that a sender accepts, and the message that the home accepts. A size counts the
//! encoded bytes.

use latchkey_dev::home::HomeOptions;
use serde_json::{Value, json};
use testkit::callers::{request, token};
use testkit::problem;

use super::DoorStage;

async fn stage(states_bytes: usize) -> DoorStage {
    let options = HomeOptions {
        states_bytes: Some(states_bytes),
        ..HomeOptions::default()
    };
    DoorStage::with_home(options, &[]).await
}

fn batch(commands: &Value) -> Value {
    let jwt = token(&["admin"], &json!({}));
    request(
        "POST",
        "/commands",
        Some(&jwt),
        Some(&json!({ "commands": commands })),
    )
}

fn refused_call() -> Value {
    json!({"type": "call_service", "domain": "light", "service": "no_such_service"})
}

/// A large result of one command does not affect the outcomes of the other commands.
#[tokio::test]
async fn result_above_the_limit_is_reported_and_the_others_are_kept() {
    let stage = stage(7_000_000).await;
    let asked = batch(&json!([{"type": "get_states"}, refused_call(), {"type": "get_config"}]));
    let (status, body) = stage.ask(&asked).await;
    assert_eq!(status, 200, "{body}");
    let results = &body["results"];
    assert_eq!(results[0]["outcome"], "answered");
    assert_eq!(results[0]["error"]["code"], "message-too-large", "{body}");
    assert_eq!(results[1]["error"]["code"], "not_found", "{body}");
    assert_eq!(results[2]["success"], true, "{body}");
}

/// Each quotation mark takes two bytes in a JSON string. Results can fit before this encoding and exceed the limit
/// after the encoding.
#[tokio::test]
async fn result_size_is_measured_after_encoding() {
    let stage = stage(6_200_000).await;
    let commands = json!([{"type": "get_states"}, refused_call()]);
    let (status, body) = stage.ask(&batch(&commands)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["results"][0]["error"]["code"], "message-too-large");
    assert_eq!(body["results"][1]["error"]["code"], "not_found");
    // With compression the results fit.
    let mut event = batch(&commands);
    event["headers"]["accept-encoding"] = "gzip".into();
    let answer = stage.app.handle(&event).await;
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(answer["isBase64Encoded"], true, "{}", answer["headers"]);
    // A direct response is not a JSON string, so all results fit.
    let direct = json!({ "commands": commands }).to_string();
    let answer = stage.app.handle(&direct).await;
    assert_eq!(answer["results"][0]["success"], true);
}

/// The home repeats the request in its errors. latchkey truncates long errors and keeps every outcome.
#[tokio::test]
async fn long_errors_are_truncated_and_every_outcome_is_kept() {
    let stage = DoorStage::start().await;
    let service = "n".repeat(300_000);
    let refused = json!({"type": "call_service", "domain": "light", "service": service});
    let toggle = json!({"type": "call_service", "domain": "light", "service": "toggle",
        "target": {"entity_id": "light.kitchen"}});
    let asked = batch(&json!([refused, refused, refused, refused, toggle]));
    let mut event = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": "POST", "path": "/commands", "queryStringParameters": {},
        "isBase64Encoded": false,
    });
    for member in ["headers", "body"] {
        event[member] = asked[member].clone();
    }
    let answer = stage.app.handle(&event).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["results"][0]["error"]["code"], "not_found");
    assert_eq!(body["results"][4]["success"], true);
    assert_eq!(
        stage
            .home
            .counters()
            .calls_of("light", "toggle", "light.kitchen"),
        1
    );
}

#[tokio::test]
async fn size_limit_ignores_gzip_when_the_client_refuses_it() {
    let stage = stage(7_000_000).await;
    let mut event = batch(&json!([{"type": "get_states"}, refused_call()]));
    event["headers"]["accept-encoding"] = "gzip;q=0, identity".into();
    let (status, body) = stage.ask(&event).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["results"][0]["error"]["code"], "message-too-large");
}

/// Reformatted, each of these numbers would be three times as long, and the frame would exceed the home's limit.
#[tokio::test]
async fn numbers_are_forwarded_in_their_original_notation() {
    let stage = DoorStage::start().await;
    let numbers = vec!["1e15"; 300_000].join(",");
    let body = format!(r#"{{"command":{{"type":"ping","x":[{numbers}]}}}}"#);
    let jwt = token(&["admin"], &json!({}));
    let mut event = request("POST", "/commands", Some(&jwt), None);
    event["body"] = body.into();
    for _ in 0..2 {
        let (status, body) = stage.ask(&event).await;
        assert_eq!(status, 200, "{body}");
        // The home has read the command and rejects its format.
        let code = &body["results"][0]["error"]["code"];
        assert_eq!(code, "invalid_format", "{body}");
    }
    assert_eq!(stage.home.counters().upgrade_requests, 1);
}

#[tokio::test]
async fn command_above_the_homes_size_limit_is_not_sent() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let filler = "x".repeat(4 << 20);
    let command = json!({"command": {"type": "ping", "x": filler}});
    let event = request("POST", "/commands", Some(&jwt), Some(&command));
    let (status, body) = stage.ask(&event).await;
    assert_eq!((status, problem(&body)), (413, "message-too-large"));
    assert_eq!(stage.home.counters().commands.get("ping"), None);
}
