//! When an open connection is used again, when it is asked first, and when it is given up: without losing a command,
//! without running one twice, and without waiting for what is known to be dead.

mod sandbox;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchkey::base::clock::{Clock, ManualClock, Timestamp};
use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::{HomeError, Outcome};
use latchkey::home::source::SourceFault;
use latchkey::home::token::TokenError;
use latchkey_dev::home::HomeOptions;
use sandbox::{Sandbox, World};
use testkit::TestBridge;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The length of a ping frame without a payload.
const PING_BYTES: u64 = 2;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(1_800_000 * SECOND))
}

/// A home, and a latchkey that has used it once.
fn used(clock: Arc<dyn Clock>) -> (World, Sandbox) {
    let world = World::start(HomeOptions::default());
    let sandbox = world.sandbox(clock);
    sandbox.toggle_well();
    (world, sandbox)
}

/// As [`used`], with the relay between.
fn used_from_afar(options: HomeOptions, clock: Arc<dyn Clock>) -> (World, Sandbox) {
    let world = World::start(options);
    let sandbox = world.distant_sandbox(clock);
    sandbox.toggle_well();
    (world, sandbox)
}

#[test]
fn what_was_used_a_moment_ago_is_used_again_without_a_question() {
    let clock = clock();
    let (world, sandbox) = used(clock.clone());
    let before = world.counters();
    for idle in [0, 1, 14] {
        clock.advance(idle * SECOND);
        sandbox.toggle_well();
    }
    let after = world.counters();
    assert_eq!(world.executions(), 4);
    assert_eq!(after.pings(), 0);
    assert_eq!(after.tcp_connections, before.tcp_connections);
    assert_eq!(after.http_requests, before.http_requests);
    assert_eq!(after.websocket_upgrades, 1);
    assert_eq!(sandbox.latchkey.stored.reads(), 1);
}

#[test]
fn what_was_idle_for_a_while_is_asked_once_and_used_again() {
    let clock = clock();
    let (world, sandbox) = used(clock.clone());
    let before = world.counters();
    for (pings, idle) in [(1, 15), (2, 20), (3, 74)] {
        clock.advance(idle * SECOND);
        sandbox.toggle_well();
        // Having been heard, it is fresh.
        sandbox.toggle_well();
        assert_eq!(world.counters().ping_frames, pings, "{idle} s");
    }
    let after = world.counters();
    assert_eq!(world.executions(), 7);
    assert_eq!(after.tcp_connections, before.tcp_connections);
    assert_eq!(after.http_requests, before.http_requests);
}

#[test]
fn what_was_idle_past_the_homes_patience_is_replaced_without_a_question() {
    for idle in [75 * SECOND, 90 * SECOND, 600 * SECOND, 24 * HOUR] {
        let clock = clock();
        let (world, sandbox) = used(clock.clone());
        let before = world.counters();
        clock.advance(idle);
        sandbox.toggle_well();
        let after = world.counters();
        assert_eq!(world.executions(), 2, "{idle:?}");
        assert_eq!(after.pings(), 0, "{idle:?}");
        assert_eq!(after.websocket_upgrades, 2, "{idle:?}");
        // One for the WebSocket, and one beside it to prove the token.
        assert_eq!(
            after.tcp_connections,
            before.tcp_connections + 2,
            "{idle:?}"
        );
        assert_eq!(after.failed_logins, 0);
    }
}

/// Clocks that a test moves one by one.
struct TwoClocks(Mutex<Timestamp>);

impl Clock for TwoClocks {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_snapshot_restored_later_is_told_by_the_wall_clock() {
    let clock = Arc::new(TwoClocks(Mutex::new(clock().now())));
    let (world, sandbox) = used(clock.clone());
    // The monotonic clock has not seen the hour.
    clock.0.lock().unwrap().unix += HOUR;
    sandbox.toggle_well();
    assert_eq!(world.executions(), 2);
    assert_eq!(world.counters().websocket_upgrades, 2);
    assert_eq!(world.counters().pings(), 0);
    // A wall clock set back does not make what is old young.
    {
        let mut now = clock.0.lock().unwrap();
        now.unix -= 2 * HOUR;
        now.monotonic += 90 * SECOND;
    }
    sandbox.toggle_well();
    assert_eq!(world.executions(), 3);
    assert_eq!(world.counters().websocket_upgrades, 3);
    assert_eq!(world.counters().pings(), 0);
}

#[test]
fn a_home_that_hung_up_during_a_freeze_gets_the_command_on_a_new_connection() {
    for says_goodbye in [true, false] {
        for idle in [SECOND, 20 * SECOND, 90 * SECOND] {
            for looks_around in [true, false] {
                let clock = clock();
                let (mut world, sandbox) = used(clock.clone());
                world.restart(says_goodbye);
                clock.advance(idle);
                if looks_around {
                    sandbox.look_around();
                }
                let case = format!("{says_goodbye} {idle:?} {looks_around}");
                sandbox.toggle_well();
                assert_eq!(world.executions(), 2, "{case}");
                assert_eq!(world.counters().websocket_upgrades, 2, "{case}");
                assert_eq!(world.counters().failed_logins, 0, "{case}");
                assert_eq!(sandbox.latchkey.stored.reads(), 1, "{case}");
            }
        }
    }
}

#[test]
fn a_home_that_tired_of_a_frozen_peer_is_called_again() {
    for looks_around in [true, false] {
        let world = World::start(HomeOptions {
            heartbeat: Duration::from_millis(200),
            ..HomeOptions::default()
        });
        let sandbox = world.sandbox(clock());
        sandbox.toggle_well();
        // It pings, waits half as long again, and hangs up without a word.
        world.until_home(|counters| counters.open_sockets == 0);
        if looks_around {
            sandbox.look_around();
        }
        sandbox.toggle_well();
        assert_eq!(world.executions(), 2);
        assert_eq!(world.counters().websocket_upgrades, 2);
    }
}

#[test]
fn a_token_replaced_during_a_freeze_is_read_again_and_the_command_succeeds() {
    for looks_around in [true, false] {
        let (world, sandbox) = used(clock());
        let another = world.home.mint_token("another");
        sandbox.latchkey.stored.put(Ok(&another));
        world.home.revoke(&world.token);
        world.until_home(|counters| counters.open_sockets == 0);
        if looks_around {
            sandbox.look_around();
        }
        sandbox.toggle_well();
        let counters = world.counters();
        assert_eq!(world.executions(), 2);
        assert_eq!(counters.failed_logins, 1);
        assert_eq!(counters.presented(&another), 2, "REST and WebSocket");
        assert_eq!(sandbox.latchkey.stored.reads(), 2);
    }
}

#[test]
fn a_token_revoked_during_a_freeze_ends_in_one_strike_and_no_execution() {
    let world = World::start(HomeOptions::default());
    let sandbox = Sandbox::of(TestBridge::new(&world.home.url(), &world.token));
    sandbox.toggle_well();
    world.home.revoke(&world.token);
    world.until_home(|counters| counters.open_sockets == 0);
    for _ in 0..3 {
        let error = sandbox.toggle().unwrap_err();
        assert!(
            matches!(error, BridgeError::Token(TokenError::Rejected { .. })),
            "{error:?}"
        );
    }
    assert_eq!(world.executions(), 1);
    assert_eq!(world.counters().failed_logins, 1);
}

#[test]
fn a_greeting_kept_for_want_of_a_token_is_not_used_once_the_home_has_hung_up() {
    for looks_around in [true, false] {
        let mut world = World::start(HomeOptions::default());
        let sandbox = world.sandbox(clock());
        sandbox.latchkey.stored.fail(SourceFault::Throttled);
        sandbox.toggle().unwrap_err();
        assert_eq!(world.counters().websocket_upgrades, 1);
        world.restart(false);
        sandbox.latchkey.stored.put(Ok(&world.token));
        if looks_around {
            sandbox.look_around();
        }
        sandbox.toggle_well();
        assert_eq!(world.executions(), 1);
        assert_eq!(world.counters().websocket_upgrades, 2);
    }
}

#[test]
fn a_rejection_that_comes_too_late_for_its_caller_is_not_forgotten() {
    let world = World::start(HomeOptions::default());
    let sandbox = world.distant_sandbox(clock());
    let round_trip = Duration::from_millis(100);
    world.relay.set_round_trip(round_trip);
    world.home.revoke(&world.token);
    // Long enough to connect and present the token, too short to hear the verdict.
    let error = sandbox.toggle_within(round_trip * 7 / 4).unwrap_err();
    assert!(
        matches!(error, BridgeError::Home(HomeError::DeadlineExceeded { .. })),
        "{error:?}"
    );
    world.until_home(|counters| counters.failed_logins == 1);
    sandbox.toggle().unwrap_err();
    assert_eq!(world.counters().failed_logins, 1);
}

#[test]
fn a_path_lost_during_a_freeze_costs_a_question_and_no_command() {
    let clock = clock();
    let (world, sandbox) = used_from_afar(HomeOptions::default(), clock.clone());
    world.relay.black_hole();
    clock.advance(20 * SECOND);
    sandbox.toggle_well();
    assert_eq!(world.executions(), 2);
    assert_eq!(world.counters().websocket_upgrades, 2);
    assert_eq!(world.counters().ping_frames, 0, "it never arrived");
    sandbox.toggle_well();
    assert_eq!(world.executions(), 3);
    assert_eq!(world.counters().websocket_upgrades, 2);
}

#[test]
fn a_home_heard_long_ago_does_not_pass_for_heard_now() {
    let options = HomeOptions {
        heartbeat: Duration::from_millis(200),
        ..HomeOptions::default()
    };
    let clock = clock();
    let (world, sandbox) = used_from_afar(options, clock.clone());
    let before = world.relay.counters().bytes_to_client;
    // The home's ping reached the frozen sandbox, and then the path was lost.
    world.until_passed(before, PING_BYTES);
    world.relay.black_hole();
    clock.advance(70 * SECOND);
    sandbox.look_around();
    let outcome = sandbox.toggle();
    // Whether it then gets through is another matter; it must not have been trusted to the old connection.
    assert!(
        !matches!(outcome.as_deref(), Ok([Outcome::Unknown(_)])),
        "{outcome:?}"
    );
}

#[test]
fn a_path_lost_a_moment_ago_makes_an_unknown_and_no_second_execution() {
    let clock = clock();
    let (world, sandbox) = used_from_afar(HomeOptions::default(), clock.clone());
    world.relay.black_hole();
    clock.advance(SECOND);
    let outcome = sandbox.toggle();
    assert!(
        matches!(
            outcome.as_deref(),
            Ok([Outcome::Unknown(HomeError::Timeout { .. })])
        ),
        "{outcome:?}"
    );
    assert_eq!(world.executions(), 1);
    sandbox.toggle_well();
    assert_eq!(world.executions(), 2);
    assert_eq!(world.counters().websocket_upgrades, 2);
}
