//! Every fault that a home can show, and the problem that each fault must end in. No command runs twice. latchkey
//! reads the token again only if the home rejects the token.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey::doors::reply::Problem;
use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::{Answer, HomeError, Outcome, Stage};
use latchkey::service::failure::{Failure, ProblemName};
use latchkey_dev::home::{
    Break, ConnectionFault, Fault, HomeOptions, Junk, Refusal, RestFault, SocketFault, SocketStage,
};
use serde_json::json;

/// The result that a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The command was not sent. The problem names the reason.
    Problem(ProblemName),
    /// The command was sent and succeeded.
    Success,
    /// The command was sent and the home answered with an error.
    Failure,
    /// The command was sent and its outcome is unknown.
    Unknown(ProblemName),
}

use End::{Problem as NotSent, Success};
use ProblemName::{
    CommandOutcomeUnknown, HomeBanned, HomeEdgeBlocked, HomeProxyNotTrusted, HomeStarting,
    HomeTimeout, HomeUnreachable, MessageTooLarge, NotHomeAssistant, TokenRejected,
};
use testkit::{Limits, Port, TestBridge, command, home, home_with};

/// Returns the expected result of each fault. The match is exhaustive, so a new kind of fault does not compile
/// without an entry.
fn expected(fault: &Fault) -> End {
    match fault {
        Fault::Connection(fault) => match fault {
            ConnectionFault::Close | ConnectionFault::Reset => NotSent(HomeUnreachable),
            ConnectionFault::Hang => NotSent(HomeTimeout),
            ConnectionFault::Garbage => NotSent(NotHomeAssistant),
        },
        Fault::Rest(fault) => match fault {
            RestFault::Hang | RestFault::HalfOpen | RestFault::SlowBody(_) => NotSent(HomeTimeout),
            RestFault::Status(status) => NotSent(problem_of_status(*status)),
            RestFault::Redirect | RestFault::Html | RestFault::Challenge => {
                NotSent(HomeEdgeBlocked)
            }
            RestFault::Text
            | RestFault::NotJson
            | RestFault::EmptyJson
            | RestFault::NoVersion
            | RestFault::JsonArray
            | RestFault::EndlessHeaders
            | RestFault::HugeBody(_) => NotSent(NotHomeAssistant),
            RestFault::Close | RestFault::Reset | RestFault::CutBody => NotSent(HomeUnreachable),
        },
        Fault::Socket(fault) => match fault {
            SocketFault::Refuse(refusal) => NotSent(match refusal {
                // The upgrade request carries no token, so Home Assistant never answers 401. A server in front of the
                // home asks for a login.
                Refusal::Status(401) => HomeEdgeBlocked,
                Refusal::Status(status) => problem_of_status(*status),
                Refusal::Redirect | Refusal::Html => HomeEdgeBlocked,
                Refusal::WrongAccept => NotHomeAssistant,
            }),
            SocketFault::At(stage, way) => match (stage, way) {
                (
                    SocketStage::Upgrade | SocketStage::AuthRequired,
                    Break::Hang | Break::HalfOpen,
                ) => NotSent(HomeTimeout),
                (
                    SocketStage::Upgrade | SocketStage::AuthRequired,
                    Break::Close | Break::CloseFrame(_) | Break::Reset,
                ) => NotSent(HomeUnreachable),
                (
                    SocketStage::Auth
                    | SocketStage::AuthOk
                    | SocketStage::Command
                    | SocketStage::Reply,
                    Break::Hang
                    | Break::HalfOpen
                    | Break::Close
                    | Break::CloseFrame(_)
                    | Break::Reset,
                ) => End::Unknown(CommandOutcomeUnknown),
            },
            // The client ignores an empty array, and the home answers afterwards.
            SocketFault::Junk(SocketStage::Auth, Junk::EmptyArray) => Success,
            SocketFault::Junk(SocketStage::AuthRequired, _) => NotSent(NotHomeAssistant),
            SocketFault::Junk(_, _) => End::Unknown(CommandOutcomeUnknown),
            SocketFault::AuthInvalid => NotSent(TokenRejected),
            SocketFault::ServicesMissing | SocketFault::ErrorReply(_) => End::Failure,
            SocketFault::SlowReply(_) => End::Unknown(CommandOutcomeUnknown),
            SocketFault::HugeReply(_) => End::Unknown(MessageTooLarge),
            SocketFault::OutOfOrder(_)
            | SocketFault::Coalesce(_)
            | SocketFault::Fragment(_)
            | SocketFault::FragmentWithPings(_)
            | SocketFault::Pings
            | SocketFault::Noise
            | SocketFault::DuplicateReply => Success,
        },
    }
}

fn problem_of_status(status: u16) -> ProblemName {
    match status {
        400 => HomeProxyNotTrusted,
        403 => HomeBanned,
        404 => NotHomeAssistant,
        429 | 520 | 530 => HomeEdgeBlocked,
        503 => HomeStarting,
        500 | 502 | 504 => HomeUnreachable,
        other => panic!("no row for status {other}"),
    }
}

fn end_of(outcome: Result<Vec<Outcome>, BridgeError>) -> End {
    match outcome {
        Err(error) => NotSent(Problem::of(&Failure::Bridge(error)).name),
        Ok(outcomes) => {
            assert_eq!(outcomes.len(), 1);
            match &outcomes[0] {
                Outcome::Answered(Answer::Success(_)) => Success,
                Outcome::Answered(Answer::Failure(_)) => End::Failure,
                Outcome::Unknown(HomeError::MessageTooLarge { .. }) => {
                    End::Unknown(MessageTooLarge)
                }
                Outcome::Unknown(_) => End::Unknown(CommandOutcomeUnknown),
            }
        }
    }
}

fn every_fault() -> Vec<Fault> {
    let mut faults: Vec<Fault> = ConnectionFault::all()
        .into_iter()
        .map(Fault::from)
        .collect();
    faults.extend(RestFault::all().into_iter().map(Fault::from));
    faults.extend(SocketFault::all().into_iter().map(Fault::from));
    faults
}

/// Runs one command against one fault with a new latchkey. The error lists every violated expectation.
async fn check_fault(fault: Fault) -> Result<(), String> {
    let home = home().await;
    let token = home.mint_token("latchkey");
    // The faults run in one thread, and some of them keep it busy.
    let limits = Limits {
        step: Duration::from_secs(2),
        ..Limits::default()
    };
    let clock = Arc::new(SystemClock::new());
    let fixture = TestBridge::with_limits(&home.url(), &token, clock, limits);
    home.set_fault(fault.clone());
    let toggle = command(json!({
        "type": "call_service", "domain": "light", "service": "toggle",
        "target": {"entity_id": "light.kitchen"},
    }));
    let end = end_of(fixture.bridge.run(&[toggle], fixture.deadline()).await);
    let expected = expected(&fault);
    let mut faults = Vec::new();
    if end != expected {
        faults.push(format!("ended in {end:?}, not {expected:?}"));
    }
    let is_tokens_fault = fault == Fault::Socket(SocketFault::AuthInvalid);
    let reads = fixture.stored.reads();
    if reads != 1 + u64::from(is_tokens_fault) {
        faults.push(format!("the token was read {reads} times"));
    }
    let counters = home.counters();
    if counters.failed_logins > u64::from(is_tokens_fault) {
        faults.push(format!("{} failed logins", counters.failed_logins));
    }
    let runs = counters.calls_of("light", "toggle", "light.kitchen");
    let most = usize::from(!matches!(expected, NotSent(_)));
    if runs > most || (expected == Success && runs != 1) {
        faults.push(format!("the command ran {runs} times"));
    }
    // After the fault, the next command succeeds unless the token is rejected.
    home.clear_faults();
    let next = command(json!({"type": "get_config"}));
    let after = end_of(fixture.bridge.run(&[next], fixture.deadline()).await);
    let expected_after = if is_tokens_fault {
        NotSent(TokenRejected)
    } else {
        Success
    };
    if after != expected_after {
        faults.push(format!("the next command ended in {after:?}"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("{fault:?}: {}", faults.join("; ")))
    }
}

#[tokio::test]
async fn every_fault_ends_in_its_problem_and_runs_no_command_twice() {
    let all = every_fault();
    assert!(all.len() > 100);
    // Several faults run concurrently, because most of them only wait for a timeout.
    let gate = Arc::new(tokio::sync::Semaphore::new(8));
    let mut tasks = tokio::task::JoinSet::new();
    for fault in all {
        let gate = gate.clone();
        tasks.spawn(async move {
            let _permit = gate.acquire().await.unwrap();
            check_fault(fault).await
        });
    }
    let mut wrong: Vec<String> = tasks
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn batch_results_keep_the_command_order_when_replies_are_reordered() {
    let home = home().await;
    let fixture = TestBridge::to(&home);
    for fault in [SocketFault::OutOfOrder(3), SocketFault::Coalesce(3)] {
        home.set_fault(fault);
        let commands = [
            command(json!({"type": "get_config"})),
            command(json!({"type": "no/such/command"})),
            command(json!({"type": "ping"})),
        ];
        let outcomes = fixture
            .bridge
            .run(&commands, fixture.deadline())
            .await
            .unwrap();
        let [first, second, third] = outcomes.as_slice() else {
            panic!("{outcomes:?}");
        };
        assert!(
            matches!(first, Outcome::Answered(Answer::Success(Some(result))) if result.get().contains("version"))
        );
        assert!(
            matches!(second, Outcome::Answered(Answer::Failure(failure)) if failure.code == "unknown_command")
        );
        assert!(matches!(third, Outcome::Answered(Answer::Success(None))));
    }
}

#[tokio::test]
async fn home_that_is_down_is_unreachable_and_retried_as_often_as_configured() {
    let port = Port::reserve();
    let mut home = home_with(HomeOptions {
        address: port.address,
        ..HomeOptions::default()
    })
    .await;
    let fixture = TestBridge::to(&home);
    home.kill().await;
    let ping = command(json!({"type": "ping"}));
    let error = fixture
        .bridge
        .run(std::slice::from_ref(&ping), fixture.deadline())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            BridgeError::Home(HomeError::Unreachable {
                stage: Stage::Tcp,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(fixture.bridge.health().session.reconnects, 2);
    home.restart().await.unwrap();
    assert_eq!(
        end_of(fixture.bridge.run(&[ping], fixture.deadline()).await),
        Success
    );
    assert_eq!(fixture.stored.reads(), 1);
}

#[tokio::test]
async fn unresolvable_host_name_is_reported_as_a_dns_error() {
    let fixture = TestBridge::new(
        "http://no-such-host.invalid:8123",
        &home().await.mint_token("latchkey"),
    );
    let error = fixture
        .bridge
        .run(&[command(json!({"type": "ping"}))], fixture.deadline())
        .await
        .unwrap_err();
    assert_eq!(error, BridgeError::Home(HomeError::Dns));
}

#[tokio::test]
async fn deadline_ends_a_request_before_its_step_timeout() {
    let home = home().await;
    let fixture = TestBridge::to(&home);
    home.set_fault(RestFault::Hang);
    let deadline = fixture.deadline_in(Duration::from_millis(200));
    let error = fixture
        .bridge
        .run(&[command(json!({"type": "ping"}))], deadline)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        BridgeError::Home(HomeError::DeadlineExceeded {
            stage: Stage::Validate
        })
    );
}

#[tokio::test]
async fn rejected_token_is_presented_once_and_replaced_once() {
    let home = home_with(HomeOptions {
        login_attempts_threshold: Some(3),
        ..HomeOptions::default()
    })
    .await;
    let (old, new) = (home.mint_token("old"), home.mint_token("new"));
    let fixture = TestBridge::new(&home.url(), &old);
    let ping = [command(json!({"type": "ping"}))];
    assert_eq!(
        end_of(fixture.bridge.run(&ping, fixture.deadline()).await),
        Success
    );
    home.revoke(&old);
    home.wait_for(|counters| counters.open_sockets == 0).await;
    for _ in 0..10 {
        let end = end_of(fixture.bridge.run(&ping, fixture.deadline()).await);
        assert_eq!(end, NotSent(TokenRejected));
        let warmth = fixture.bridge.keep_warm(fixture.deadline()).await;
        assert_eq!(warmth.valid, Some(false));
    }
    assert_eq!(
        home.counters().failed_logins,
        1,
        "all requests together cost one failed login"
    );
    let reads = fixture.stored.reads();
    fixture.stored.put(Ok(&new));
    assert_eq!(
        end_of(fixture.bridge.run(&ping, fixture.deadline()).await),
        Success
    );
    assert_eq!(fixture.stored.reads(), reads + 1);
    assert_eq!(home.counters().failed_logins, 1);
    assert!(!home.is_banned());
}

#[tokio::test]
async fn replaced_token_is_read_once_and_the_command_succeeds() {
    let home = home().await;
    let (old, new) = (home.mint_token("old"), home.mint_token("new"));
    let fixture = TestBridge::new(&home.url(), &old);
    let ping = [command(json!({"type": "ping"}))];
    assert_eq!(
        end_of(fixture.bridge.run(&ping, fixture.deadline()).await),
        Success
    );
    fixture.stored.put(Ok(&new));
    home.revoke(&old);
    home.wait_for(|counters| counters.open_sockets == 0).await;
    assert_eq!(
        end_of(fixture.bridge.run(&ping, fixture.deadline()).await),
        Success
    );
    assert_eq!(fixture.stored.reads(), 2);
    assert_eq!(home.counters().failed_logins, 1);
}
