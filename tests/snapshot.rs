//! Before a snapshot of the process token and connections go; after a restore both come back fresh.

#![expect(
    clippy::unwrap_used,
    reason = "tests may panic, also outside of test functions"
)]

#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "lambda/app.rs"]
mod in_process;
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use latchkey::base::clock::SystemClock;
use latchkey::home::home_assistant::SessionState;
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
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
    fixture.random.reseed(7);
    bridge.warm_up(fixture.deadline()).await;
    assert_eq!(bridge.health().session.state, SessionState::Ready);
    assert_eq!(fixture.stored.reads(), 2);
    let ping = [command(json!({"type": "ping"}))];
    assert!(bridge.run(&ping, fixture.deadline()).await.is_ok());
    assert_eq!(home.counters().auth_ok, 2);
}

const PARAMETER: &str = "/homeautomation/tokens/home-assistant";

/// What an application draws that starts from always the same state: the runs of an idempotency key and of a
/// presentation, and the number in the name of a token that a rotation mints. `seed` is what a restore seeds it with.
async fn draws(restore_seed: Option<u64>) -> BTreeSet<String> {
    let home = SimulatedHome::start(HomeOptions::default()).await.unwrap();
    let aws = AwsEmulator::start().await.unwrap();
    let token = home.mint_token("latchkey");
    aws.put_token(PARAMETER, &token).await.unwrap();
    aws.create_table("latchkey").await.unwrap();
    let url = home.url();
    let lookup = [
        ("HA_URL", url.as_str()),
        ("TABLE_NAME", "latchkey"),
        ("CALLER_AUTH", "none"),
        ("METRICS", "off"),
    ];
    let clock = Arc::new(SystemClock::new());
    let app = in_process::app_with_clock(&aws, &lookup, clock, 1).await;
    if let Some(seed) = restore_seed {
        app.app.reseed(seed);
    }
    let keyed = json!({"command": {"type": "ping"}, "idempotency_key": "k"});
    let answer = in_process::handle(&app, &keyed.to_string()).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let answer = in_process::handle(&app, r#"{"source":"rotate-token"}"#).await;
    assert_eq!(answer["rotation"]["state"], "draining", "{answer}");
    let items = aws.items("latchkey").await.unwrap();
    let runs = items.iter().filter_map(|item| item["run"].as_str());
    let mut draws: BTreeSet<String> = runs.map(str::to_owned).collect();
    assert!(draws.len() >= 2, "{items:?}");
    let names = home.tokens().into_iter().map(|token| token.client_name);
    let minted: Vec<String> = names.filter(|name| name != "latchkey").collect();
    // The time stands in the name as well.
    let number = minted[0]
        .rsplit(|c: char| !c.is_ascii_alphanumeric())
        .next();
    draws.insert(number.unwrap().to_owned());
    draws
}

#[tokio::test]
async fn environments_restored_from_one_snapshot_draw_nothing_alike() {
    // Two copies of one state draw the same: that is what a restore must end.
    assert_eq!(draws(None).await, draws(None).await);
    let (one, other) = (draws(Some(2)).await, draws(Some(3)).await);
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
}
