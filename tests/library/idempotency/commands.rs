//! Tests of repeated requests to one execution environment and to several: the executions in the home, and the
//! responses.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock as _, ManualClock, SystemClock};
use latchkey::service::idempotency::REMEMBERED;
use latchkey_dev::home::{Break, SocketFault, SocketStage};
use serde_json::{Value, json};
use testkit::{Sandbox, light, problem};
use tokio::task::JoinSet;

use super::{TABLE, TableStage, is_begun_before, outcome, request, toggle};

#[tokio::test]
async fn repeat_returns_the_first_outcome_from_every_environment() {
    let stage = TableStage::start().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let commands = [
        toggle(),
        json!({ "type": "get_states" }),
        json!({ "type": "call_service", "domain": "light", "service": "no_such_service" }),
    ];
    let first = sandboxes[0].handle(&request("k", &commands)).await;
    assert_eq!(outcome(&first), "answered");
    assert_eq!(first["results"][2]["error"]["code"], "not_found");
    // If the commands ran again, `get_states` would return other states.
    stage.home.set_state("light.kitchen", "unavailable");
    let sent = stage.home.counters().commands;
    let reordered = format!(
        r#"{{"idempotency_key":"k","commands":[{{"target":{{"entity_id":"light.kitchen"}},"service":"toggle",
           "domain":"light","type":"call_service"}},{},{}]}}"#,
        commands[1], commands[2]
    );
    for sandbox in &sandboxes {
        for payload in [&request("k", &commands), &reordered] {
            assert_eq!(sandbox.handle(payload).await, first);
        }
    }
    assert_eq!(stage.executed(), 1);
    assert_eq!(stage.home.counters().commands, sent);
    // Another key is another request.
    let other = sandboxes[1].handle(&request("k2", &commands)).await;
    assert_eq!(outcome(&other), "answered");
    assert_eq!(stage.executed(), 2);
}

#[tokio::test]
async fn environment_without_a_table_remembers_its_own_requests() {
    let stage = TableStage::start().await;
    let url = stage.home.url();
    let memory = async || {
        Sandbox::builder()
            .aws(&stage.aws)
            .envs([("HA_URL", url.as_str()), ("METRICS", "off")])
            .start()
            .await
    };
    let (sandbox, other) = (memory().await, memory().await);
    let payload = request("k", &[toggle()]);
    let first = sandbox.handle(&payload).await;
    assert_eq!(outcome(&first), "answered");
    assert_eq!(sandbox.handle(&payload).await, first);
    assert_eq!(stage.executed(), 1);
    // Another environment does not share this memory, so the command runs again.
    assert_eq!(outcome(&other.handle(&payload).await), "answered");
    assert_eq!(stage.executed(), 2);
}

#[tokio::test]
async fn unknown_outcome_stays_unknown() {
    let stage = TableStage::start().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let payload = request("k", &[toggle()]);
    let lost = SocketFault::At(SocketStage::Reply, Break::Close);
    stage.home.set_fault_times(lost, 1);
    let first = sandboxes[0].handle(&payload).await;
    assert_eq!(outcome(&first), "unknown");
    assert_eq!(
        stage.executed(),
        1,
        "the command was executed, and its reply was lost"
    );
    for sandbox in &sandboxes {
        assert_eq!(sandbox.handle(&payload).await, first);
    }
    assert_eq!(stage.executed(), 1);
}

#[tokio::test]
async fn unsent_command_leaves_its_key_free() {
    let mut stage = TableStage::start().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let payload = request("k", &[toggle()]);
    stage.home.stop().await;
    for sandbox in &sandboxes {
        let refused = sandbox.handle(&payload).await;
        assert_eq!(problem(&refused), "home-unreachable", "{refused}");
    }
    stage.home.restart().await.unwrap();
    // The key is free for other commands too.
    let other = request("k", &[light("turn_on", "light.bedroom")]);
    assert_eq!(outcome(&sandboxes[1].handle(&other).await), "answered");
    assert_eq!(problem(&sandboxes[0].handle(&payload).await), "bad-request");
    let counters = stage.home.counters();
    assert_eq!(counters.calls_of("light", "turn_on", "light.bedroom"), 1);
    assert_eq!(stage.executed(), 1);
}

#[tokio::test]
async fn killed_invocation_leaves_its_outcome_unknown() {
    let stage = TableStage::start().await;
    let payload = request("k", &[toggle()]);
    let silence = SocketFault::At(SocketStage::Reply, Break::Hang);
    stage.home.set_fault(silence);
    let killed = tokio::spawn({
        let (sandbox, payload) = (stage.sandbox().await, payload.clone());
        async move { sandbox.handle(&payload).await }
    });
    stage
        .home
        .wait_for(|counters| !counters.service_calls.is_empty())
        .await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    stage.home.clear_faults();
    let batch = request("k", &[toggle(), toggle()]);
    for sandbox in [stage.sandbox().await, stage.sandbox().await] {
        let answer = sandbox.handle(&payload).await;
        assert!(is_begun_before(&answer), "{answer}");
        assert_eq!(answer["results"].as_array().unwrap().len(), 1);
        assert_eq!(
            answer["results"][0]["error"]["code"],
            "command-outcome-unknown"
        );
        assert_eq!(problem(&sandbox.handle(&batch).await), "bad-request");
    }
    assert_eq!(stage.executed(), 1);
}

#[tokio::test]
async fn key_reused_for_other_commands_is_rejected() {
    let stage = TableStage::start().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let payload = request("k", &[toggle()]);
    let first = sandboxes[0].handle(&payload).await;
    for commands in [
        vec![light("toggle", "light.bedroom")],
        vec![toggle(), toggle()],
        vec![json!({ "type": "ping" })],
    ] {
        for sandbox in &sandboxes {
            let refused = sandbox.handle(&request("k", &commands)).await;
            assert_eq!(problem(&refused), "bad-request");
            assert_eq!(refused["statusCode"], 400);
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains("`idempotency_key`"), "{detail}");
        }
    }
    assert_eq!(stage.executed(), 1);
    assert_eq!(sandboxes[1].handle(&payload).await, first);
}

#[tokio::test]
async fn key_expires_after_a_day() {
    let stage = TableStage::start().await;
    let clock = Arc::new(ManualClock::at(SystemClock::new().now().unix));
    let sandboxes = [
        stage.sandbox_with(TABLE, clock.clone()).await,
        stage.sandbox_with(TABLE, clock.clone()).await,
    ];
    let payload = request("k", &[toggle(), json!({ "type": "get_states" })]);
    let first = sandboxes[0].handle(&payload).await;
    clock.advance(REMEMBERED - Duration::from_secs(1));
    assert_eq!(sandboxes[1].handle(&payload).await, first);
    assert_eq!(stage.executed(), 1);
    // The table stores time in whole seconds.
    clock.advance(Duration::from_secs(2));
    let second = sandboxes[1].handle(&payload).await;
    assert_eq!(outcome(&second), "answered");
    assert_ne!(second, first);
    assert_eq!(stage.executed(), 2);
    clock.advance(REMEMBERED - Duration::from_secs(1));
    assert_eq!(sandboxes[0].handle(&payload).await, second);
    assert_eq!(stage.executed(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repeats_run_once() {
    let stage = TableStage::start().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let payload = request("k", &[toggle()]);
    let mut requests = JoinSet::new();
    for number in 0..20 {
        let sandbox: Sandbox = sandboxes[number % 2].clone();
        let payload = payload.clone();
        requests.spawn(async move { sandbox.handle(&payload).await });
    }
    let (unknown, answered): (Vec<Value>, Vec<Value>) = requests
        .join_all()
        .await
        .into_iter()
        .partition(is_begun_before);
    assert_eq!(stage.executed(), 1);
    // A request during the run gets the outcome `unknown`. A later request gets the recorded outcome.
    assert_eq!(unknown.len() + answered.len(), 20);
    assert!(answered.iter().all(|answer| outcome(answer) == "answered"));
    let last = sandboxes[1].handle(&payload).await;
    assert!(answered.iter().all(|answer| *answer == last));
    assert!(!answered.is_empty());
    assert_eq!(stage.executed(), 1);
}
