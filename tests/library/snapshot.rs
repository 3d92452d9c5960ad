//! Tests of process snapshots. A suspend drops the token and the connection. After a restore, latchkey reads the
//! token and connects again.

use std::collections::BTreeSet;

use latchkey::home::home_assistant::SessionState;
use serde_json::json;
use testkit::{Stage, TestBridge, command, home};

#[tokio::test]
async fn suspend_drops_the_token_and_the_connection() {
    let home = home().await;
    let fixture = TestBridge::to(&home);
    let bridge = &fixture.bridge;
    bridge.warm_up(fixture.deadline()).await;
    assert_eq!(bridge.health().session.state, SessionState::Ready);
    assert_eq!(fixture.stored.reads(), 1);

    bridge.suspend().await;
    assert_eq!(bridge.health().session.state, SessionState::Disconnected);
    home.wait_for(|counters| counters.open_sockets == 0).await;
    // The next warm-up must read the token and connect again.
    fixture.random.reseed(7);
    bridge.warm_up(fixture.deadline()).await;
    assert_eq!(bridge.health().session.state, SessionState::Ready);
    assert_eq!(fixture.stored.reads(), 2);
    let ping = [command(json!({"type": "ping"}))];
    assert!(bridge.run(&ping, fixture.deadline()).await.is_ok());
    assert_eq!(home.counters().auth_ok, 2);
}

/// Returns the random values that an application draws. The application always starts from the same state. The values
/// are the run identifiers of an idempotency key and of a token presentation, and the number in the name of a minted
/// token. A restore seeds the application with `restore_seed`.
async fn draws(restore_seed: Option<u64>) -> BTreeSet<String> {
    let stage = Stage::builder().table("latchkey").start().await;
    let app = stage.sandbox().local().env("TABLE_NAME", "latchkey");
    let app = app.start().await;
    if let Some(seed) = restore_seed {
        app.function.app.reseed(seed);
    }
    let keyed = json!({"command": {"type": "ping"}, "idempotency_key": "k"});
    let answer = app.handle(&keyed).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let answer = app.handle(r#"{"source":"rotate-token"}"#).await;
    assert_eq!(answer["rotation"]["state"], "draining", "{answer}");
    let items = stage.aws.items("latchkey").await.unwrap();
    let runs = items.iter().filter_map(|item| item["run"].as_str());
    let mut draws: BTreeSet<String> = runs.map(str::to_owned).collect();
    assert!(draws.len() >= 2, "{items:?}");
    let names = stage
        .home
        .tokens()
        .into_iter()
        .map(|token| token.client_name);
    let minted: Vec<String> = names.filter(|name| name != "latchkey").collect();
    // The name contains the time too.
    let number = minted[0]
        .rsplit(|c: char| !c.is_ascii_alphanumeric())
        .next();
    draws.insert(number.unwrap().to_owned());
    draws
}

#[tokio::test]
async fn environments_restored_from_one_snapshot_draw_different_random_values() {
    // Without a new seed, two copies of one state draw the same values.
    assert_eq!(draws(None).await, draws(None).await);
    let (one, other) = (draws(Some(2)).await, draws(Some(3)).await);
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
}
