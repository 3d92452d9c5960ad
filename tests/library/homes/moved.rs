//! Tests of a home that has moved to another address with another token, without a change event. latchkey detects the
//! move at the next token read. No token is ever presented to the wrong home.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock as _, ManualClock};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::Sandbox;
use testkit::homes::{House, assert_done, changed, keep_warm, parameter, toggle_in, village};

use super::app_with_stopped_clock;

/// The TTL of tokens.
const TTL: Duration = Duration::from_secs(300);

struct MoveStage {
    aws: AwsEmulator,
    old: House,
    new: House,
    app: Sandbox,
    clock: Arc<ManualClock>,
}

impl MoveStage {
    /// Starts a stage whose home was used and has moved since.
    async fn start() -> Self {
        let (aws, [old]) = village(["cabin"]).await;
        let new = House::build("cabin").await;
        let (app, clock) = app_with_stopped_clock(&aws).await;
        let stage = Self {
            aws,
            old,
            new,
            app,
            clock,
        };
        assert_done(&stage.handle(&toggle_in("cabin")).await);
        stage.new.store(&stage.aws).await;
        stage
    }

    async fn handle(&self, event: &Value) -> Value {
        self.app.handle(&event).await
    }

    async fn after_answer(&self) {
        let end = self.clock.now().after(Duration::from_secs(20));
        let end = u64::try_from(end.unix.as_millis()).unwrap();
        self.app.function.app.after_answer(end).await;
    }

    /// Asserts that commands reach the new address, and that no token was presented to the wrong home.
    async fn assert_moved(&self) {
        let toggles = self.old.toggles();
        assert_done(&self.handle(&toggle_in("cabin")).await);
        assert_eq!(self.old.toggles(), toggles);
        assert!(self.new.toggles() > 0);
        self.old.assert_saw_only_its_own_token();
        self.new.assert_saw_only_its_own_token();
        assert_eq!(self.old.home.counters().failed_logins, 0);
        assert_eq!(self.new.home.counters().failed_logins, 0);
        self.old
            .home
            .wait_for(|counters| counters.open_sockets == 0)
            .await;
    }
}

#[tokio::test]
async fn refresh_of_a_due_token_detects_a_moved_home() {
    let stage = MoveStage::start().await;
    // Before the token is due, latchkey reads nothing.
    assert_done(&stage.handle(&toggle_in("cabin")).await);
    stage.after_answer().await;
    assert_eq!(stage.old.toggles(), 2);
    assert_eq!(stage.new.home.counters().tcp_connections, 0);

    stage.clock.advance(TTL);
    assert_done(&stage.handle(&toggle_in("cabin")).await);
    assert_eq!(stage.old.toggles(), 3);
    stage.after_answer().await;
    stage.assert_moved().await;
}

#[tokio::test]
async fn keep_warm_detects_a_moved_home() {
    let stage = MoveStage::start().await;
    stage.clock.advance(TTL);
    stage.handle(&keep_warm()).await;
    stage.assert_moved().await;
}

#[tokio::test]
async fn command_past_the_hard_ttl_detects_a_moved_home() {
    let stage = MoveStage::start().await;
    stage.clock.advance(TTL * 2);
    // This command may still reach the old address or fail.
    let answer = stage.handle(&toggle_in("cabin")).await;
    assert!(answer["statusCode"].is_u64(), "{answer}");
    stage.assert_moved().await;
}

/// The token at the old address is revoked, so latchkey reads the parameter again.
#[tokio::test]
async fn rejected_token_detects_a_moved_home() {
    let stage = MoveStage::start().await;
    stage.old.home.revoke(&stage.old.token);
    stage
        .old
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    let answer = stage.handle(&toggle_in("cabin")).await;
    assert!(answer["statusCode"].is_u64(), "{answer}");
    assert_done(&stage.handle(&toggle_in("cabin")).await);
    assert_eq!(stage.new.home.counters().failed_logins, 0);
    assert_eq!(stage.old.home.counters().failed_logins, 1);
    stage.old.assert_saw_only_its_own_token();
    stage.new.assert_saw_only_its_own_token();
}

/// The event about the token may arrive first, or alone.
#[tokio::test]
async fn token_event_detects_a_moved_home() {
    let stage = MoveStage::start().await;
    let name = parameter("cabin", "token");
    let answer = stage.handle(&changed(&name)).await;
    assert_eq!(answer["statusCode"], json!(200), "{answer}");
    stage.assert_moved().await;
}
