//! Tests of many callers on one connection. Each caller gets its own reply, no caller waits for another caller's
//! command, and a cancelled caller does not affect the connection.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use latchkey::base::clock::{ManualClock, SystemClock};
use latchkey::doors::reply::Problem;
use latchkey::home::home_assistant::{Answer, Command, HomeError, Outcome, SessionState};
use latchkey::service::failure::{Failure, ProblemName};
use latchkey_dev::home::{Break, SocketFault, SocketStage};
use serde_json::json;
use testkit::{Limits, TestBridge, command, home, relay_to, seed};
use tokio::task::JoinSet;

const CALLERS: u64 = 64;

/// The number of commands that each caller sends.
const COMMANDS_PER_CALLER: u64 = 400;

/// A timeout that a working step never reaches.
const LONG_TIMEOUT: Duration = Duration::from_secs(10);

fn latchkey_with_long_timeout(home_url: &str, token: &str) -> TestBridge {
    let limits = Limits {
        step: LONG_TIMEOUT,
        ..Limits::default()
    };
    let clock = Arc::new(SystemClock::new());
    TestBridge::with_limits(home_url, token, clock, limits)
}

/// Returns a command with a unique reply. The home's error names the unknown service.
fn numbered_command(number: u64) -> Command {
    command(json!({"type": "call_service", "domain": "echo", "service": format!("n{number}")}))
}

fn is_reply_to(outcome: &Outcome, number: u64) -> bool {
    match outcome {
        Outcome::Answered(Answer::Failure(failure)) => {
            failure.message == format!("Service echo.n{number} not found.")
        }
        Outcome::Answered(Answer::Success(_)) | Outcome::Unknown(_) => false,
    }
}

async fn ask(latchkey: &TestBridge, number: u64) {
    let outcome = latchkey
        .bridge
        .run(&[numbered_command(number)], latchkey.deadline())
        .await;
    let is_right = matches!(outcome.as_deref(), Ok([outcome]) if is_reply_to(outcome, number));
    assert!(is_right, "{number}: {outcome:?}");
}

fn light(entity_id: &str) -> Command {
    command(json!({
        "type": "call_service", "domain": "light", "service": "turn_on",
        "target": {"entity_id": entity_id},
    }))
}

/// Sends the commands of one caller, in batches of one to four.
async fn caller(latchkey: Arc<TestBridge>, mut random: Rng, mut numbers: std::ops::Range<u64>) {
    while !numbers.is_empty() {
        let batch: Vec<u64> = numbers.by_ref().take(random.usize(1..=4)).collect();
        let commands: Vec<Command> = batch
            .iter()
            .map(|number| numbered_command(*number))
            .collect();
        let outcomes = latchkey
            .bridge
            .run(&commands, latchkey.deadline())
            .await
            .unwrap();
        assert_eq!(outcomes.len(), batch.len());
        for (outcome, number) in outcomes.iter().zip(batch) {
            assert!(is_reply_to(outcome, number), "{number}: {outcome:?}");
        }
        // Sometimes another caller goes first.
        if random.bool() {
            tokio::task::yield_now().await;
        }
    }
}

/// Starts all callers before latchkey has a token or a connection.
#[expect(
    clippy::print_stdout,
    reason = "the test runner shows the seed of a failed test"
)]
async fn assert_replies_reach_their_callers() {
    let home = home().await;
    let latchkey = Arc::new(latchkey_with_long_timeout(
        &home.url(),
        &home.mint_token("latchkey"),
    ));
    let seed = seed::seed();
    println!("{}={seed}", seed::VARIABLE);
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let numbers = number * COMMANDS_PER_CALLER..(number + 1) * COMMANDS_PER_CALLER;
        let random = Rng::with_seed(seed.wrapping_add(number));
        callers.spawn(caller(latchkey.clone(), random, numbers));
    }
    callers.join_all().await;
    let counters = home.counters();
    assert_eq!(
        counters.commands["call_service"],
        CALLERS * COMMANDS_PER_CALLER
    );
    assert_eq!(counters.websocket_upgrades, 1);
    assert_eq!(counters.config_checks, 1);
    assert_eq!(counters.tcp_connections, 2);
    assert_eq!(latchkey.stored.reads(), 1);
}

#[tokio::test]
async fn replies_reach_their_callers_on_one_thread() {
    assert_replies_reach_their_callers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replies_reach_their_callers_on_many_threads() {
    assert_replies_reach_their_callers().await;
}

#[tokio::test]
async fn slow_command_does_not_delay_other_callers() {
    let mut home = home().await;
    let latchkey = Arc::new(latchkey_with_long_timeout(
        &home.url(),
        &home.mint_token("latchkey"),
    ));
    ask(&latchkey, 0).await;
    home.set_fault_times(SocketFault::At(SocketStage::Command, Break::Hang), 1);
    let slow = tokio::spawn({
        let latchkey = latchkey.clone();
        async move {
            let commands = [light("light.kitchen")];
            latchkey.bridge.run(&commands, latchkey.deadline()).await
        }
    });
    home.wait_for(|counters| counters.faults_hit == 1).await;
    for number in 1..100 {
        ask(&latchkey, number).await;
    }
    assert!(!slow.is_finished());
    // The slow command ends with its connection.
    home.kill().await;
    let outcome = slow.await.unwrap();
    assert!(
        matches!(
            outcome.as_deref(),
            Ok([Outcome::Unknown(HomeError::Closed)])
        ),
        "{outcome:?}"
    );
    assert_eq!(home.counters().websocket_upgrades, 1);
}

#[tokio::test]
async fn command_past_its_deadline_does_not_affect_other_commands() {
    let home = home().await;
    let latchkey = Arc::new(TestBridge::to(&home));
    ask(&latchkey, 0).await;
    home.set_fault_times(SocketFault::At(SocketStage::Command, Break::Hang), 1);
    let deadline = latchkey.deadline_in(Duration::from_millis(50));
    let slow = latchkey
        .bridge
        .run(&[light("light.kitchen")], deadline)
        .await;
    assert!(
        matches!(
            slow.as_deref(),
            Ok([Outcome::Unknown(HomeError::DeadlineExceeded { .. })])
        ),
        "{slow:?}"
    );
    ask(&latchkey, 1).await;
}

#[tokio::test]
async fn cancelling_before_the_reply_does_not_take_another_callers_reply() {
    let home = home().await;
    let relay = relay_to(&home.url()).await;
    let url = format!("http://{}", relay.addr());
    let latchkey = Arc::new(latchkey_with_long_timeout(
        &url,
        &home.mint_token("latchkey"),
    ));
    ask(&latchkey, 0).await;
    for round in 1..=200 {
        let leaver = tokio::spawn({
            let latchkey = latchkey.clone();
            async move {
                let commands = [light("light.kitchen"), light("light.bedroom")];
                latchkey.bridge.run(&commands, latchkey.deadline()).await
            }
        });
        // The commands are executed and their reply is on the way.
        home.wait_for(|counters| counters.calls_of("light", "turn_on", "light.bedroom") == round)
            .await;
        leaver.abort();
        let (left, (), ()) = tokio::join!(leaver, ask(&latchkey, 1), ask(&latchkey, 2));
        assert!(left.unwrap_err().is_cancelled());
    }
    let counters = home.counters();
    assert_eq!(counters.websocket_upgrades, 1);
    assert_eq!(counters.calls_of("light", "turn_on", "light.kitchen"), 200);
}

#[tokio::test]
async fn cancelling_while_connecting_does_not_block_others() {
    for stage in [SocketStage::Upgrade, SocketStage::AuthRequired] {
        let home = home().await;
        let latchkey = Arc::new(latchkey_with_long_timeout(
            &home.url(),
            &home.mint_token("latchkey"),
        ));
        home.set_fault_times(SocketFault::At(stage, Break::Hang), 1);
        let leaver = tokio::spawn({
            let latchkey = latchkey.clone();
            async move {
                let commands = [light("light.kitchen")];
                latchkey.bridge.run(&commands, latchkey.deadline()).await
            }
        });
        // A later caller waits for the first caller.
        home.wait_for(|counters| counters.faults_hit == 1).await;
        let second = tokio::spawn({
            let latchkey = latchkey.clone();
            async move { ask(&latchkey, 1).await }
        });
        leaver.abort();
        assert!(leaver.await.unwrap_err().is_cancelled());
        second.await.unwrap();
        let counters = home.counters();
        assert_eq!(counters.calls_of("light", "turn_on", "light.kitchen"), 0);
        assert_eq!(counters.failed_logins, 0);
    }
}

#[tokio::test]
async fn dropping_latchkey_closes_the_connection_after_cancelled_callers() {
    let home = home().await;
    let latchkey = Arc::new(latchkey_with_long_timeout(
        &home.url(),
        &home.mint_token("latchkey"),
    ));
    ask(&latchkey, 0).await;
    home.set_fault(SocketFault::At(SocketStage::Command, Break::Hang));
    let mut leavers = JoinSet::new();
    for number in 0..CALLERS {
        let latchkey = latchkey.clone();
        leavers.spawn(async move { ask(&latchkey, number).await });
    }
    home.wait_for(|counters| counters.commands["call_service"] == 1 + CALLERS)
        .await;
    leavers.shutdown().await;
    home.clear_faults();
    ask(&latchkey, 1).await;
    assert_eq!(latchkey.bridge.health().session.state, SessionState::Ready);
    drop(latchkey);
    let counters = home.wait_for(|counters| counters.open_sockets == 0).await;
    assert_eq!(counters.websocket_upgrades, 1);
}

#[tokio::test]
async fn revoked_token_is_presented_once_with_many_callers() {
    let home = home().await;
    let relay = relay_to(&home.url()).await;
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000)));
    let url = format!("http://{}", relay.addr());
    let token = home.mint_token("latchkey");
    relay.set_round_trip(Duration::from_millis(200));
    let limits = Limits {
        step: LONG_TIMEOUT,
        ..Limits::default()
    };
    let latchkey = Arc::new(TestBridge::with_limits(&url, &token, clock.clone(), limits));
    ask(&latchkey, 0).await;
    clock.advance(Duration::from_secs(20));
    let before = relay.counters();
    let keep_warm = tokio::spawn({
        let latchkey = latchkey.clone();
        async move { latchkey.bridge.keep_warm(latchkey.deadline()).await.valid }
    });
    // keep-warm has received its pong and validates the token next.
    relay
        .wait_for(|now| now.bytes_to_client > before.bytes_to_client)
        .await;
    home.revoke(&token);
    while latchkey.bridge.health().session.state == SessionState::Ready {
        tokio::task::yield_now().await;
    }
    // The connection is closed, and the verdict on the token has not arrived.
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let latchkey = latchkey.clone();
        callers.spawn(async move {
            let commands = [numbered_command(number)];
            latchkey.bridge.run(&commands, latchkey.deadline()).await
        });
    }
    assert!(callers.join_all().await.iter().all(Result::is_err));
    assert_eq!(keep_warm.await.unwrap(), Some(false));
    assert_eq!(home.counters().failed_logins, 1);
}

#[tokio::test]
async fn rejected_login_is_not_retried_on_one_thread() {
    assert_rejected_login_is_not_retried().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rejected_login_is_not_retried_on_many_threads() {
    assert_rejected_login_is_not_retried().await;
}

/// The home accepts the token over REST and rejects the token once on the WebSocket. A second presentation would
/// succeed.
async fn assert_rejected_login_is_not_retried() {
    for round in 0..100 {
        let home = home().await;
        let latchkey = Arc::new(latchkey_with_long_timeout(
            &home.url(),
            &home.mint_token("latchkey"),
        ));
        home.set_fault_times(SocketFault::AuthInvalid, 1);
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let latchkey = latchkey.clone();
            callers.spawn(async move {
                let commands = [numbered_command(number)];
                latchkey.bridge.run(&commands, latchkey.deadline()).await
            });
        }
        for outcome in callers.join_all().await {
            let is_refused = outcome.as_ref().is_err_and(|error| {
                Problem::of(&Failure::Bridge(error.clone())).name == ProblemName::TokenRejected
            });
            assert!(is_refused, "round {round}: {outcome:?}");
        }
        assert_eq!(home.counters().failed_logins, 1);
    }
}
