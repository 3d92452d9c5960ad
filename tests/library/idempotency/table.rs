//! When the table cannot be used: nothing is run that could not be remembered, and what was run is never run again.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey_dev::home::{Break, SocketFault, SocketStage};
use latchkey_dev::stack::Fault;
use serde_json::{Value, json};
use testkit::{Sandbox, problem};

use super::{DELETE_ITEM, PUT_ITEM, TableStage, is_begun_before, outcome, request, toggle};

#[tokio::test]
async fn without_the_table_nothing_is_run() {
    let stage = TableStage::set().await;
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
    // The home has not even been asked about the token.
    assert_eq!(stage.home.counters().tcp_connections, 0);

    // None of it has used the key up, and whoever gives none does not need the table.
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
async fn a_fault_that_passes_is_not_even_noticed() {
    let stage = TableStage::set().await;
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
async fn a_key_that_cannot_be_given_back_counts_as_unknown() {
    let mut stage = TableStage::set().await;
    let (sandbox, payload) = (stage.sandbox().await, request("k", &[toggle()]));
    stage.home.stop().await;
    let fault = Fault::new(DELETE_ITEM, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    // The caller is told of the home all the same.
    let refused = sandbox.handle(&payload).await;
    assert_eq!(problem(&refused), "home-unreachable");
    stage.aws.clear_faults().await.unwrap();
    stage.home.restart().await.unwrap();
    let answer = stage.sandbox().await.handle(&payload).await;
    assert!(is_begun_before(&answer), "{answer}");
    assert_eq!(stage.executed(), 0);
}

/// Starts a request whose command the home executes and does not answer, and returns once it was executed.
async fn executing(stage: &TableStage, payload: &str) -> tokio::task::JoinHandle<Value> {
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
async fn an_outcome_that_cannot_be_recorded_is_told_and_counts_as_unknown() {
    let stage = TableStage::set().await;
    let payload = request("k", &[toggle()]);
    let running = executing(&stage, &payload).await;
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

/// Hands over one event with 5 s to go. An answer is due by then; that it comes at all is waited for far longer.
async fn handle_within_5_s(app: &Sandbox, payload: &str) -> Value {
    let reply = app.handle_within(Duration::from_secs(5), payload);
    let reply = tokio::time::timeout(Duration::from_secs(60), reply).await;
    reply.unwrap_or_else(|_| panic!("no answer"))
}

#[tokio::test]
async fn a_table_that_does_not_answer_keeps_nobody_past_the_deadline() {
    let stage = TableStage::set().await;
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
async fn an_outcome_is_told_before_the_deadline_even_if_the_table_hangs() {
    let stage = TableStage::set().await;
    let running = executing(&stage, &request("k", &[toggle()])).await;
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
