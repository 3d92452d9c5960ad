//! Before a snapshot of the process token and connections go; after a restore both come back fresh.

#![expect(
    clippy::unwrap_used,
    reason = "tests may panic, also outside of test functions"
)]

mod support;

use latchkey::home_assistant::SessionState;
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use serde_json::json;
use support::{Fixture, command};

#[tokio::test]
async fn a_snapshot_holds_neither_token_nor_connection() {
    let home = SimulatedHome::start(HomeOptions::default()).await.unwrap();
    let fixture = Fixture::new(&home.url(), &home.mint_token("latchkey"));
    let bridge = &fixture.bridge;
    bridge.warm_up(fixture.deadline()).await;
    assert_eq!(bridge.health().session.state, SessionState::Ready);
    assert_eq!(fixture.stored.reads(), 1);

    bridge.suspend().await;
    assert_eq!(bridge.health().session.state, SessionState::Disconnected);
    home.wait_for(|counters| counters.open_sockets == 0).await;
    // Nothing is left that a command could use without asking anew.
    bridge.reseed(7);
    bridge.warm_up(fixture.deadline()).await;
    assert_eq!(bridge.health().session.state, SessionState::Ready);
    assert_eq!(fixture.stored.reads(), 2);
    let ping = [command(json!({"type": "ping"}))];
    assert!(bridge.run(&ping, fixture.deadline()).await.is_ok());
    assert_eq!(home.counters().auth_ok, 2);
}
