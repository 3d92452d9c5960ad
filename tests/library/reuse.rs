//! Tests of connection reuse: when latchkey reuses an open connection, when latchkey sends a ping first, and when
//! latchkey opens a new connection. No command is lost or run twice, and no command waits for a dead connection.

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

/// Starts a home and a latchkey that has run one command.
fn connected(clock: Arc<dyn Clock>) -> (World, Sandbox) {
    let world = World::start(HomeOptions::default());
    let sandbox = world.sandbox(clock);
    sandbox.toggle_successfully();
    (world, sandbox)
}

/// Starts a home and a latchkey like [`connected`], with a relay between them.
fn connected_through_relay(options: HomeOptions, clock: Arc<dyn Clock>) -> (World, Sandbox) {
    let world = World::start(options);
    let sandbox = world.relayed_sandbox(clock);
    sandbox.toggle_successfully();
    (world, sandbox)
}

#[test]
fn connection_idle_under_15_s_is_reused_without_a_ping() {
    let clock = clock();
    let (world, sandbox) = connected(clock.clone());
    let before = world.counters();
    for idle in [0, 1, 14] {
        clock.advance(idle * SECOND);
        sandbox.toggle_successfully();
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
fn connection_idle_for_15_to_74_s_is_pinged_once_and_reused() {
    let clock = clock();
    let (world, sandbox) = connected(clock.clone());
    let before = world.counters();
    for (pings, idle) in [(1, 15), (2, 20), (3, 74)] {
        clock.advance(idle * SECOND);
        sandbox.toggle_successfully();
        // The pong makes the connection fresh again.
        sandbox.toggle_successfully();
        assert_eq!(world.counters().ping_frames, pings, "{idle} s");
    }
    let after = world.counters();
    assert_eq!(world.executions(), 7);
    assert_eq!(after.tcp_connections, before.tcp_connections);
    assert_eq!(after.http_requests, before.http_requests);
}

#[test]
fn connection_idle_past_the_homes_timeout_is_replaced_without_a_ping() {
    for idle in [75 * SECOND, 90 * SECOND, 600 * SECOND, 24 * HOUR] {
        let clock = clock();
        let (world, sandbox) = connected(clock.clone());
        let before = world.counters();
        clock.advance(idle);
        sandbox.toggle_successfully();
        let after = world.counters();
        assert_eq!(world.executions(), 2, "{idle:?}");
        assert_eq!(after.pings(), 0, "{idle:?}");
        assert_eq!(after.websocket_upgrades, 2, "{idle:?}");
        // One connection carries the WebSocket, and one connection validates the token.
        assert_eq!(
            after.tcp_connections,
            before.tcp_connections + 2,
            "{idle:?}"
        );
        assert_eq!(after.failed_logins, 0);
    }
}

/// A wall clock and a monotonic clock that the test moves separately.
struct TwoClocks(Mutex<Timestamp>);

impl Clock for TwoClocks {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[test]
fn wall_clock_detects_a_snapshot_restored_later() {
    let clock = Arc::new(TwoClocks(Mutex::new(clock().now())));
    let (world, sandbox) = connected(clock.clone());
    // The monotonic clock does not count the hour.
    clock.0.lock().unwrap().unix += HOUR;
    sandbox.toggle_successfully();
    assert_eq!(world.executions(), 2);
    assert_eq!(world.counters().websocket_upgrades, 2);
    assert_eq!(world.counters().pings(), 0);
    // A wall clock that is set back does not make an old connection fresh.
    {
        let mut now = clock.0.lock().unwrap();
        now.unix -= 2 * HOUR;
        now.monotonic += 90 * SECOND;
    }
    sandbox.toggle_successfully();
    assert_eq!(world.executions(), 3);
    assert_eq!(world.counters().websocket_upgrades, 3);
    assert_eq!(world.counters().pings(), 0);
}

#[test]
fn command_uses_a_new_connection_when_the_home_restarted_during_a_freeze() {
    for says_goodbye in [true, false] {
        for idle in [SECOND, 20 * SECOND, 90 * SECOND] {
            for looks_around in [true, false] {
                let clock = clock();
                let (mut world, sandbox) = connected(clock.clone());
                world.restart(says_goodbye);
                clock.advance(idle);
                if looks_around {
                    sandbox.look_around();
                }
                let case = format!("{says_goodbye} {idle:?} {looks_around}");
                sandbox.toggle_successfully();
                assert_eq!(world.executions(), 2, "{case}");
                assert_eq!(world.counters().websocket_upgrades, 2, "{case}");
                assert_eq!(world.counters().failed_logins, 0, "{case}");
                assert_eq!(sandbox.latchkey.stored.reads(), 1, "{case}");
            }
        }
    }
}

#[test]
fn command_uses_a_new_connection_when_the_homes_heartbeat_timed_out() {
    for looks_around in [true, false] {
        let world = World::start(HomeOptions {
            heartbeat: Duration::from_millis(200),
            ..HomeOptions::default()
        });
        let sandbox = world.sandbox(clock());
        sandbox.toggle_successfully();
        // The home pings, waits for half a heartbeat, and closes the connection without a close frame.
        world.until_home(|counters| counters.open_sockets == 0);
        if looks_around {
            sandbox.look_around();
        }
        sandbox.toggle_successfully();
        assert_eq!(world.executions(), 2);
        assert_eq!(world.counters().websocket_upgrades, 2);
    }
}

#[test]
fn token_replaced_during_a_freeze_is_read_again_and_the_command_succeeds() {
    for looks_around in [true, false] {
        let (world, sandbox) = connected(clock());
        let another = world.home.mint_token("another");
        sandbox.latchkey.stored.put(Ok(&another));
        world.home.revoke(&world.token);
        world.until_home(|counters| counters.open_sockets == 0);
        if looks_around {
            sandbox.look_around();
        }
        sandbox.toggle_successfully();
        let counters = world.counters();
        assert_eq!(world.executions(), 2);
        assert_eq!(counters.failed_logins, 1);
        assert_eq!(counters.presented(&another), 2, "REST and WebSocket");
        assert_eq!(sandbox.latchkey.stored.reads(), 2);
    }
}

#[test]
fn token_revoked_during_a_freeze_costs_one_failed_login_and_runs_no_command() {
    let world = World::start(HomeOptions::default());
    let sandbox = Sandbox::of(TestBridge::new(&world.home.url(), &world.token));
    sandbox.toggle_successfully();
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
fn connection_awaiting_a_token_is_not_used_after_the_home_closed_it() {
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
        sandbox.toggle_successfully();
        assert_eq!(world.executions(), 1);
        assert_eq!(world.counters().websocket_upgrades, 2);
    }
}

#[test]
fn rejection_after_the_callers_deadline_is_remembered() {
    let world = World::start(HomeOptions::default());
    let sandbox = world.relayed_sandbox(clock());
    let round_trip = Duration::from_millis(100);
    world.relay.set_round_trip(round_trip);
    world.home.revoke(&world.token);
    // Long enough to connect and present the token, too short to receive the verdict.
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
fn path_lost_during_a_freeze_costs_a_ping_and_no_command() {
    let clock = clock();
    let (world, sandbox) = connected_through_relay(HomeOptions::default(), clock.clone());
    world.relay.black_hole();
    clock.advance(20 * SECOND);
    sandbox.toggle_successfully();
    assert_eq!(world.executions(), 2);
    assert_eq!(world.counters().websocket_upgrades, 2);
    assert_eq!(world.counters().ping_frames, 0, "the ping must not arrive");
    sandbox.toggle_successfully();
    assert_eq!(world.executions(), 3);
    assert_eq!(world.counters().websocket_upgrades, 2);
}

#[test]
fn old_ping_from_the_home_does_not_make_the_connection_fresh() {
    let options = HomeOptions {
        heartbeat: Duration::from_millis(200),
        ..HomeOptions::default()
    };
    let clock = clock();
    let (world, sandbox) = connected_through_relay(options, clock.clone());
    let before = world.relay.counters().bytes_to_client;
    // The home's ping reached the frozen environment before the path was lost.
    world.until_passed(before, PING_BYTES);
    world.relay.black_hole();
    clock.advance(70 * SECOND);
    sandbox.look_around();
    let outcome = sandbox.toggle();
    // The command may fail, but it must not use the old connection.
    assert!(
        !matches!(outcome.as_deref(), Ok([Outcome::Unknown(_)])),
        "{outcome:?}"
    );
}

#[test]
fn path_lost_on_a_fresh_connection_gives_unknown_and_no_second_execution() {
    let clock = clock();
    let (world, sandbox) = connected_through_relay(HomeOptions::default(), clock.clone());
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
    sandbox.toggle_successfully();
    assert_eq!(world.executions(), 2);
    assert_eq!(world.counters().websocket_upgrades, 2);
}
