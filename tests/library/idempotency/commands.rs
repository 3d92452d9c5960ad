//! What repeated requests do in the home, and what they are answered, from one sandbox and from several.

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
async fn a_repeat_gets_the_first_outcome_from_whichever_sandbox() {
    let stage = TableStage::set().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let commands = [
        toggle(),
        json!({ "type": "get_states" }),
        json!({ "type": "call_service", "domain": "light", "service": "no_such_service" }),
    ];
    let first = sandboxes[0].handle(&request("k", &commands)).await;
    assert_eq!(outcome(&first), "answered");
    assert_eq!(first["results"][2]["error"]["code"], "not_found");
    // Were they run again, these would be other states.
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
async fn one_sandbox_remembers_without_a_table() {
    let stage = TableStage::set().await;
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
    // Which is all it can do.
    assert_eq!(outcome(&other.handle(&payload).await), "answered");
    assert_eq!(stage.executed(), 2);
}

#[tokio::test]
async fn an_unknown_outcome_stays_unknown() {
    let stage = TableStage::set().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let payload = request("k", &[toggle()]);
    let lost = SocketFault::At(SocketStage::Reply, Break::Close);
    stage.home.set_fault_times(lost, 1);
    let first = sandboxes[0].handle(&payload).await;
    assert_eq!(outcome(&first), "unknown");
    assert_eq!(stage.executed(), 1, "executed, though nobody was told");
    for sandbox in &sandboxes {
        assert_eq!(sandbox.handle(&payload).await, first);
    }
    assert_eq!(stage.executed(), 1);
}

#[tokio::test]
async fn what_was_not_sent_leaves_its_key_free() {
    let mut stage = TableStage::set().await;
    let sandboxes = [stage.sandbox().await, stage.sandbox().await];
    let payload = request("k", &[toggle()]);
    stage.home.stop().await;
    for sandbox in &sandboxes {
        let refused = sandbox.handle(&payload).await;
        assert_eq!(problem(&refused), "home-unreachable", "{refused}");
    }
    stage.home.restart().await.unwrap();
    // Even for other commands.
    let other = request("k", &[light("turn_on", "light.bedroom")]);
    assert_eq!(outcome(&sandboxes[1].handle(&other).await), "answered");
    assert_eq!(problem(&sandboxes[0].handle(&payload).await), "bad-request");
    let counters = stage.home.counters();
    assert_eq!(counters.calls_of("light", "turn_on", "light.bedroom"), 1);
    assert_eq!(stage.executed(), 1);
}

#[tokio::test]
async fn what_became_of_a_killed_invocation_is_not_known() {
    let stage = TableStage::set().await;
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
async fn a_key_stands_for_the_commands_it_was_first_used_for() {
    let stage = TableStage::set().await;
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
async fn after_a_day_a_key_is_a_new_key() {
    let stage = TableStage::set().await;
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
    // The table tells time in whole seconds.
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
async fn of_many_at_once_one_is_run() {
    let stage = TableStage::set().await;
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
    // Those who came while it ran were told so; the others, how it ended.
    assert_eq!(unknown.len() + answered.len(), 20);
    assert!(answered.iter().all(|answer| outcome(answer) == "answered"));
    let last = sandboxes[1].handle(&payload).await;
    assert!(answered.iter().all(|answer| *answer == last));
    assert!(!answered.is_empty());
    assert_eq!(stage.executed(), 1);
}
