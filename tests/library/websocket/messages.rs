//! Messages of both dialects and their answers.

use serde_json::{Value, json};
use testkit::light;

use super::SocketStage;

fn with_id(mut command: Value, id: impl Into<Value>) -> Value {
    command["id"] = id.into();
    command
}

#[tokio::test]
async fn command_of_home_assistants_protocol_gets_its_result() {
    let stage = SocketStage::start().await;
    let socket = stage.open("plain", &["admin"]).await;
    let states = stage
        .send(&socket, &json!({"id": 7, "type": "get_states"}))
        .await;
    assert_eq!(
        (&states["id"], &states["type"]),
        (&json!(7), &json!("result"))
    );
    assert!(states["result"].as_array().unwrap().len() > 3);
    // Ids need not increase, because API Gateway delivers frames in parallel.
    let called = stage
        .send(&socket, &with_id(light("turn_on", "light.kitchen"), 3))
        .await;
    assert_eq!(called["success"], true, "{called}");
    let failed = stage
        .send(&socket, &with_id(light("no_such", "light.kitchen"), 4))
        .await;
    assert_eq!(
        (&failed["success"], &failed["error"]["code"]),
        (&json!(false), &json!("not_found"))
    );
    for (text, code) in [
        (r#"{"id":10,"type":"subscribe_events"}"#, "not_supported"),
        (r#"{"type":"get_states"}"#, "invalid_format"),
        (r#"{"id":"#, "bad-request"),
        ("[]", "bad-request"),
    ] {
        let answer = stage.send_text(&socket, text).await;
        assert!(
            answer.get("type").is_some() && answer.get("id").is_some(),
            "{answer}"
        );
        let found = answer["error"]["code"].as_str().or(answer["name"].as_str());
        let expected = match code {
            // A text without a type shows no dialect. The connection speaks Home Assistant's protocol.
            "bad-request" => "invalid_format",
            code => code,
        };
        assert_eq!(found, Some(expected), "{text}: {answer}");
    }
}

#[tokio::test]
async fn id_is_executed_once() {
    let stage = SocketStage::start().await;
    let socket = stage.open("once", &["admin"]).await;
    let toggle = with_id(light("toggle", "light.kitchen"), 5);
    assert_eq!(stage.send(&socket, &toggle).await["success"], true);
    let repeated = stage.send(&socket, &toggle).await;
    assert_eq!(repeated["error"]["code"], "id_reuse", "{repeated}");
    let read = json!({"id": 6, "type": "get_config"});
    assert_eq!(stage.send(&socket, &read).await["success"], true);
    assert_eq!(
        stage.send(&socket, &read).await["error"]["code"],
        "id_reuse"
    );
    // Another connection has its own ids.
    let other = stage.open("other", &["admin"]).await;
    assert_eq!(stage.send(&other, &toggle).await["success"], true);
    assert_eq!(stage.home.counters().service_calls.len(), 2);
}

#[tokio::test]
async fn array_is_one_batch_with_one_answer_for_each_message() {
    let stage = SocketStage::start().await;
    let socket = stage.open("array", &["read"]).await;
    let features =
        json!({"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}});
    let answer = stage.send(&socket, &features).await;
    assert_eq!(
        answer,
        json!({"id": 1, "type": "result", "success": true, "result": null})
    );
    let array = json!([
        {"id": 2, "type": "get_config"},
        with_id(light("toggle", "light.kitchen"), 3),
        {"id": 4, "type": "ping"},
        {"id": 2, "type": "get_config"},
        {"type": "auth", "access_token": "x"},
    ]);
    let answers = stage.send(&socket, &array).await;
    let answers = answers.as_array().unwrap();
    let codes: Vec<&Value> = answers
        .iter()
        .map(|answer| &answer["error"]["code"])
        .collect();
    assert_eq!(
        codes,
        [
            &Value::Null,
            &json!("unauthorized"),
            &Value::Null,
            &json!("id_reuse"),
            &json!("invalid_format")
        ]
    );
    assert_eq!(
        (&answers[0]["success"], &answers[2]["type"]),
        (&json!(true), &json!("pong"))
    );
    assert_eq!(stage.home.counters().service_calls.len(), 0);
}

#[tokio::test]
async fn envelope_echoes_ids_and_names_outcomes() {
    let stage = SocketStage::start().await;
    let socket = stage.open("envelope", &["admin"]).await;
    let message = r#"{"id":"a\u00e9\"1","type":"get_config","timestamp":"x"}"#;
    let reply = stage.app.handle(&socket.text(message)).await;
    let body = reply["body"].as_str().unwrap();
    assert!(
        body.contains(r#""id":"a\u00e9\"1""#),
        "the id is not echoed as it was sent: {body}"
    );
    let answer: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&answer["outcome"], &answer["success"]),
        (&json!("answered"), &json!(true))
    );
    assert!(answer["timestamp"].is_string() && answer["result"].is_object());
    for (text, code, name) in [
        (
            r#"{"id":"2","type":"subscribe_events"}"#,
            4000,
            "command-invalid",
        ),
        (
            r#"{"id":"3","type":"x","domain":"light"}"#,
            4000,
            "bad-request",
        ),
        (r#"{"id":"4","type":"","payload":{}}"#, 4000, "bad-request"),
        ("not JSON", 4000, "bad-request"),
    ] {
        let answer = stage.send_text(&socket, text).await;
        assert_eq!(
            (&answer["type"], &answer["code"], &answer["name"]),
            (&json!("error"), &json!(code), &json!(name)),
            "{text}: {answer}"
        );
        assert_eq!(answer["reconnect"], false);
        for member in ["message", "action", "timestamp"] {
            assert!(answer[member].is_string(), "{answer}");
        }
    }
}

#[tokio::test]
async fn result_above_the_limit_names_its_http_route() {
    let stage = SocketStage::with_states(200_000).await;
    let socket = stage.open("large", &["admin"]).await;
    let answer = stage
        .send(&socket, &json!({"id": 1, "type": "get_states"}))
        .await;
    assert_eq!(answer["error"]["code"], "message-too-large", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("GET /api/states"), "{message}");
}
