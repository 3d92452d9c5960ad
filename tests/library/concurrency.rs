//! Many callers, one connection: every reply finds the one who asked, nobody waits for another's command, and whoever
//! leaves early leaves nothing behind.

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

/// How many commands each caller sends.
const EACH: u64 = 400;

/// Nothing that is not broken takes so long.
const PATIENT: Duration = Duration::from_secs(10);

fn patient(home_url: &str, token: &str) -> TestBridge {
    let limits = Limits {
        step: PATIENT,
        ..Limits::default()
    };
    let clock = Arc::new(SystemClock::new());
    TestBridge::with_limits(home_url, token, clock, limits)
}

/// A command whose answer is its own: the home says which service it does not know.
fn question(number: u64) -> Command {
    command(json!({"type": "call_service", "domain": "echo", "service": format!("n{number}")}))
}

fn answers(outcome: &Outcome, number: u64) -> bool {
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
        .run(&[question(number)], latchkey.deadline())
        .await;
    let is_right = matches!(outcome.as_deref(), Ok([outcome]) if answers(outcome, number));
    assert!(is_right, "{number}: {outcome:?}");
}

fn light(entity_id: &str) -> Command {
    command(json!({
        "type": "call_service", "domain": "light", "service": "turn_on",
        "target": {"entity_id": entity_id},
    }))
}

/// One caller's commands: alone, or a few together.
async fn caller(latchkey: Arc<TestBridge>, mut random: Rng, mut numbers: std::ops::Range<u64>) {
    while !numbers.is_empty() {
        let batch: Vec<u64> = numbers.by_ref().take(random.usize(1..=4)).collect();
        let commands: Vec<Command> = batch.iter().map(|number| question(*number)).collect();
        let outcomes = latchkey
            .bridge
            .run(&commands, latchkey.deadline())
            .await
            .unwrap();
        assert_eq!(outcomes.len(), batch.len());
        for (outcome, number) in outcomes.iter().zip(batch) {
            assert!(answers(outcome, number), "{number}: {outcome:?}");
        }
        // Now and then someone else goes first.
        if random.bool() {
            tokio::task::yield_now().await;
        }
    }
}

/// All callers from the first moment on, when there is neither token nor connection.
#[expect(
    clippy::print_stdout,
    reason = "the test runner shows it where a test fails"
)]
async fn no_reply_is_crossed() {
    let home = home().await;
    let latchkey = Arc::new(patient(&home.url(), &home.mint_token("latchkey")));
    let seed = seed::seed();
    println!("{}={seed}", seed::VARIABLE);
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let numbers = number * EACH..(number + 1) * EACH;
        let random = Rng::with_seed(seed.wrapping_add(number));
        callers.spawn(caller(latchkey.clone(), random, numbers));
    }
    callers.join_all().await;
    let counters = home.counters();
    assert_eq!(counters.commands["call_service"], CALLERS * EACH);
    assert_eq!(counters.websocket_upgrades, 1);
    assert_eq!(counters.config_checks, 1);
    assert_eq!(counters.tcp_connections, 2);
    assert_eq!(latchkey.stored.reads(), 1);
}

#[tokio::test]
async fn no_reply_is_crossed_on_one_thread() {
    no_reply_is_crossed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_reply_is_crossed_on_many_threads() {
    no_reply_is_crossed().await;
}

#[tokio::test]
async fn a_slow_command_keeps_nobody_waiting() {
    let mut home = home().await;
    let latchkey = Arc::new(patient(&home.url(), &home.mint_token("latchkey")));
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
    // The connection's end is its end too.
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
async fn a_command_that_takes_too_long_takes_no_others_with_it() {
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
async fn whoever_leaves_before_the_reply_takes_nobody_elses() {
    let home = home().await;
    let relay = relay_to(&home.url()).await;
    let url = format!("http://{}", relay.addr());
    let latchkey = Arc::new(patient(&url, &home.mint_token("latchkey")));
    ask(&latchkey, 0).await;
    for round in 1..=200 {
        let leaver = tokio::spawn({
            let latchkey = latchkey.clone();
            async move {
                let commands = [light("light.kitchen"), light("light.bedroom")];
                latchkey.bridge.run(&commands, latchkey.deadline()).await
            }
        });
        // Executed, and its reply on the way.
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
async fn whoever_leaves_while_connecting_leaves_the_way_free() {
    for stage in [SocketStage::Upgrade, SocketStage::AuthRequired] {
        let home = home().await;
        let latchkey = Arc::new(patient(&home.url(), &home.mint_token("latchkey")));
        home.set_fault_times(SocketFault::At(stage, Break::Hang), 1);
        let leaver = tokio::spawn({
            let latchkey = latchkey.clone();
            async move {
                let commands = [light("light.kitchen")];
                latchkey.bridge.run(&commands, latchkey.deadline()).await
            }
        });
        // One who comes later waits for the first.
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
async fn the_connection_ends_with_latchkey_whoever_left_before() {
    let home = home().await;
    let latchkey = Arc::new(patient(&home.url(), &home.mint_token("latchkey")));
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
async fn however_many_ask_a_revoked_token_is_presented_once() {
    let home = home().await;
    let relay = relay_to(&home.url()).await;
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000)));
    let url = format!("http://{}", relay.addr());
    let token = home.mint_token("latchkey");
    relay.set_round_trip(Duration::from_millis(200));
    let limits = Limits {
        step: PATIENT,
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
    // It has its pong, and next it proves its token.
    relay
        .wait_for(|now| now.bytes_to_client > before.bytes_to_client)
        .await;
    home.revoke(&token);
    while latchkey.bridge.health().session.state == SessionState::Ready {
        tokio::task::yield_now().await;
    }
    // The connection is gone, and the verdict on the token is not yet in.
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let latchkey = latchkey.clone();
        callers.spawn(async move {
            let commands = [question(number)];
            latchkey.bridge.run(&commands, latchkey.deadline()).await
        });
    }
    assert!(callers.join_all().await.iter().all(Result::is_err));
    assert_eq!(keep_warm.await.unwrap(), Some(false));
    assert_eq!(home.counters().failed_logins, 1);
}

#[tokio::test]
async fn a_refused_login_is_no_callers_to_try_again_on_one_thread() {
    a_refused_login_is_no_callers_to_try_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_login_is_no_callers_to_try_again_on_many_threads() {
    a_refused_login_is_no_callers_to_try_again().await;
}

/// The home takes the token over REST and refuses it on the WebSocket, once: whoever presents it again gets through.
async fn a_refused_login_is_no_callers_to_try_again() {
    for round in 0..100 {
        let home = home().await;
        let latchkey = Arc::new(patient(&home.url(), &home.mint_token("latchkey")));
        home.set_fault_times(SocketFault::AuthInvalid, 1);
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let latchkey = latchkey.clone();
            callers.spawn(async move {
                let commands = [question(number)];
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
