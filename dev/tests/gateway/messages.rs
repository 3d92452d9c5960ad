//! Messages of clients and the answers to them.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, SinkExt};
use latchkey_dev::gateway::GatewayOptions;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{
    Function, answer, body, connect, failure, gateway, next, ok, only_id, post, send, start, text,
};

const KIB: usize = 1024;

/// Returns the error frame of API Gateway for the last message of a function.
async fn error_frame(function: &Function, message: &str) -> String {
    let event = function.event("$default", 0).await;
    let context = &event["requestContext"];
    let (id, request) = (&context["connectionId"], &context["requestId"]);
    format!(r#"{{"message": "{message}", "connectionId":{id}, "requestId":{request}}}"#)
}

#[tokio::test]
async fn text_message_becomes_an_event() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    send(&mut socket, r#"{"id": 1, "type": "ping"}"#).await;
    let event = function.event("$default", 0).await;
    assert_eq!(event["body"], r#"{"id": 1, "type": "ping"}"#);
    assert_eq!(event["isBase64Encoded"], false);
    let context = &event["requestContext"];
    assert_eq!(context["eventType"], "MESSAGE");
    assert_eq!(context["connectionId"], only_id(&gateway));
    // Each event has its own request. The connection stays the same.
    let connect = function.event("$connect", 0).await;
    let connect = &connect["requestContext"];
    assert_ne!(context["requestId"], connect["requestId"]);
    assert_eq!(context["connectedAt"], connect["connectedAt"]);
    assert_eq!(gateway.counters().messages, 1);
}

#[tokio::test]
async fn binary_message_is_encoded() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    let bytes = vec![0, 255, 1];
    socket.send(Message::binary(bytes)).await.unwrap();
    let event = function.event("$default", 0).await;
    assert_eq!(
        (&event["body"], &event["isBase64Encoded"]),
        (&json!("AP8B"), &json!(true))
    );
}

#[tokio::test]
async fn messages_of_a_connection_are_handled_in_parallel() {
    const MESSAGES: usize = 8;
    // No invocation returns before all have started.
    let barrier = Arc::new(Barrier::new(MESSAGES));
    let function = Function::on_message(move |event| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            body(&event["body"]).await
        }
        .boxed()
    });
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    let mut sent = Vec::new();
    for number in 0..MESSAGES {
        send(&mut socket, number.to_string()).await;
        sent.push(number.to_string());
    }
    let mut received = Vec::new();
    for _ in 0..MESSAGES {
        received.push(text(&mut socket).await);
    }
    received.sort();
    assert_eq!(received, sent);
}

#[tokio::test]
async fn body_of_the_answer_is_the_route_response() {
    let function = Function::on_message(|event| match event["body"].as_str() {
        Some("empty") => body(&json!("")),
        Some("null") => body(&Value::Null),
        Some("none") => ok(),
        Some(text) => body(&json!(format!("re: {text}"))),
        None => failure(),
    });
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    for (index, silent) in ["empty", "null", "none"].into_iter().enumerate() {
        send(&mut socket, silent).await;
        function.event("$default", index).await;
    }
    send(&mut socket, "hello").await;
    // Answers without a body have sent nothing.
    assert_eq!(text(&mut socket).await, "re: hello");
}

#[tokio::test]
async fn failed_invocation_sends_an_error_frame() {
    let too_large = "x".repeat(128 * KIB + 1);
    let answers: [fn() -> Result<Value, String>; 5] = [
        || Err("the function failed".to_owned()),
        || Ok(json!({"statusCode": 400, "body": "not sent"})),
        || Ok(json!({"statusCode": 500})),
        || Ok(json!({"message": "not an answer"})),
        || panic!("the function panicked"),
    ];
    let oversized = Function::on_message(move |_| body(&json!(too_large)));
    let functions =
        answers.map(|result| Function::on_message(move |_| async move { result() }.boxed()));
    for function in functions.into_iter().chain([oversized]) {
        let gateway = gateway(&function).await;
        let mut socket = connect(&gateway).await;
        send(&mut socket, "{}").await;
        let received = text(&mut socket).await;
        let expected = error_frame(&function, "Internal server error").await;
        assert_eq!(received, expected);
        // The connection stays open.
        assert_eq!(
            post(&gateway, &only_id(&gateway), "still here").await.0,
            200
        );
        assert_eq!(text(&mut socket).await, "still here");
    }
}

#[tokio::test]
async fn route_response_of_128_kib_is_sent() {
    let largest = "x".repeat(128 * KIB);
    let sent = largest.clone();
    let function = Function::on_message(move |_| body(&json!(sent)));
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    send(&mut socket, "{}").await;
    assert!(text(&mut socket).await == largest);
}

#[tokio::test]
async fn slow_invocation_sends_a_timeout_frame_and_continues() {
    assert_eq!(
        GatewayOptions::default().integration_timeout,
        Duration::from_secs(29)
    );
    let options = GatewayOptions {
        integration_timeout: Duration::from_millis(20),
        ..GatewayOptions::default()
    };
    let (release, released) = tokio::sync::watch::channel(false);
    let finished = Arc::new(tokio::sync::Notify::new());
    let function = Function::on_message({
        let finished = Arc::clone(&finished);
        move |_| {
            let (mut released, finished) = (released.clone(), Arc::clone(&finished));
            async move {
                released.wait_for(|released| *released).await.unwrap();
                finished.notify_one();
                answer(json!({"statusCode": 200, "body": "late"})).await
            }
            .boxed()
        }
    });
    let gateway = start(options, &function).await;
    let mut socket = connect(&gateway).await;
    send(&mut socket, "{}").await;
    let received = text(&mut socket).await;
    let expected = error_frame(&function, "Endpoint request timed out").await;
    assert_eq!(received, expected);

    // The function continues, but its late answer is lost.
    release.send_replace(true);
    finished.notified().await;
    assert_eq!(post(&gateway, &only_id(&gateway), "next").await.0, 200);
    assert_eq!(text(&mut socket).await, "next");
}

#[tokio::test]
async fn ping_is_answered_with_a_pong() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    let ping = Message::Ping("are you there?".into());
    socket.send(ping).await.unwrap();
    assert_eq!(
        next(&mut socket).await,
        Message::Pong("are you there?".into())
    );
    // Control frames are not messages.
    assert_eq!(gateway.counters().messages, 0);
}
