//! Tests of table failures. latchkey runs a command only if it can record the command. A command that ran never runs
//! again.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey_dev::home::{Break, SocketFault, SocketStage};
use latchkey_dev::stack::Fault;
use serde_json::{Value, json};
use testkit::{Sandbox, problem};

use super::{DELETE_ITEM, PUT_ITEM, TableStage, is_begun_before, outcome, request, toggle};

#[tokio::test]
async fn request_with_a_key_is_not_run_without_the_table() {
    let stage = TableStage::start().await;
    let sandbox = stage.sandbox().await;
    let payload = request("k", &[toggle()]);
    let refused = async |sandbox: &Sandbox, code: &str| {
        let answer = sandbox.handle(&payload).await;
        assert_eq!(problem(&answer), "internal", "{code}: {answer}");
        assert_eq!(answer["statusCode"], 500);
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(code), "{code}: {detail}");
        let action = answer["action"].as_str().unwrap();
        assert!(action.contains("TABLE_NAME"), "{code}: {action}");
    };
    for code in [
        "AccessDeniedException",
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "500",
    ] {
        stage
            .aws
            .inject(&Fault::new(PUT_ITEM, code).message("arn-q7"))
            .await
            .unwrap();
        let shown = if code == "500" {
            "InternalServerError"
        } else {
            code
        };
        refused(&sandbox, shown).await;
        stage.aws.clear_faults().await.unwrap();
    }
    let misled = stage
        .sandbox_with("nowhere", Arc::new(SystemClock::new()))
        .await;
    refused(&misled, "ResourceNotFoundException").await;
    // latchkey has not connected to the home.
    assert_eq!(stage.home.counters().tcp_connections, 0);

    // The rejected requests did not use up the key. A request without a key does not need the table.
    stage
        .aws
        .inject(&Fault::new(PUT_ITEM, "AccessDeniedException"))
        .await
        .unwrap();
    let keyless = sandbox.handle(&json!({ "command": toggle() })).await;
    assert_eq!(outcome(&keyless), "answered");
    stage.aws.clear_faults().await.unwrap();
    assert_eq!(outcome(&sandbox.handle(&payload).await), "answered");
    assert_eq!(stage.executed(), 2);
}

#[tokio::test]
async fn transient_table_fault_is_retried_and_not_reported() {
    let stage = TableStage::start().await;
    let sandbox = stage.sandbox().await;
    for code in ["ThrottlingException", "500"] {
        let fault = Fault::new(PUT_ITEM, code).times(1);
        stage.aws.inject(&fault).await.unwrap();
        let payload = request(code, &[toggle()]);
        let first = sandbox.handle(&payload).await;
        assert_eq!(outcome(&first), "answered", "{code}");
        assert_eq!(sandbox.handle(&payload).await, first);
    }
    assert_eq!(stage.executed(), 2);
}

#[tokio::test]
async fn key_that_cannot_be_released_counts_as_unknown() {
    let mut stage = TableStage::start().await;
    let (sandbox, payload) = (stage.sandbox().await, request("k", &[toggle()]));
    stage.home.stop().await;
    let fault = Fault::new(DELETE_ITEM, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    // The caller still gets the problem of the home.
    let refused = sandbox.handle(&payload).await;
    assert_eq!(problem(&refused), "home-unreachable");
    stage.aws.clear_faults().await.unwrap();
    stage.home.restart().await.unwrap();
    let answer = stage.sandbox().await.handle(&payload).await;
    assert!(is_begun_before(&answer), "{answer}");
    assert_eq!(stage.executed(), 0);
}

/// Starts a request. The home executes the command and does not answer. Returns after the execution.
async fn start_unanswered_request(
    stage: &TableStage,
    payload: &str,
) -> tokio::task::JoinHandle<Value> {
    let silence = SocketFault::At(SocketStage::Reply, Break::Hang);
    stage.home.set_fault(silence);
    let (sandbox, payload) = (stage.sandbox().await, payload.to_owned());
    let running = tokio::spawn(async move { handle_within_5_s(&sandbox, &payload).await });
    stage
        .home
        .wait_for(|counters| !counters.service_calls.is_empty())
        .await;
    stage.home.clear_faults();
    running
}

#[tokio::test]
async fn outcome_that_cannot_be_recorded_is_returned_and_counts_as_unknown() {
    let stage = TableStage::start().await;
    let payload = request("k", &[toggle()]);
    let running = start_unanswered_request(&stage, &payload).await;
    let fault = Fault::new(PUT_ITEM, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    let first = running.await.unwrap();
    assert_eq!(outcome(&first), "unknown");
    assert!(!is_begun_before(&first), "{first}");
    stage.aws.clear_faults().await.unwrap();
    let answer = stage.sandbox().await.handle(&payload).await;
    assert!(is_begun_before(&answer), "{answer}");
    assert_eq!(stage.executed(), 1);
}

/// Sends one event with a deadline of 5 s. The test waits for 60 s, so that a slow machine does not fail the test.
async fn handle_within_5_s(app: &Sandbox, payload: &str) -> Value {
    let reply = app.handle_within(Duration::from_secs(5), payload);
    let reply = tokio::time::timeout(Duration::from_secs(60), reply).await;
    reply.unwrap_or_else(|_| panic!("no answer"))
}

#[tokio::test]
async fn hanging_table_does_not_delay_a_response_past_the_deadline() {
    let stage = TableStage::start().await;
    stage
        .aws
        .inject(&Fault::new(PUT_ITEM, "hang"))
        .await
        .unwrap();
    let answer = handle_within_5_s(&stage.sandbox().await, &request("k", &[toggle()])).await;
    let name = problem(&answer);
    assert!(
        ["internal", "deadline-exceeded"].contains(&name),
        "{answer}"
    );
    assert_eq!(stage.executed(), 0);
}

#[tokio::test]
async fn outcome_is_returned_before_the_deadline_when_the_table_hangs() {
    let stage = TableStage::start().await;
    let running = start_unanswered_request(&stage, &request("k", &[toggle()])).await;
    stage
        .aws
        .inject(&Fault::new(PUT_ITEM, "hang"))
        .await
        .unwrap();
    let answer = running.await.unwrap();
    assert_eq!(outcome(&answer), "unknown");
    assert!(!is_begun_before(&answer), "{answer}");
    assert_eq!(stage.executed(), 1);
}
