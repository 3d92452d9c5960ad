//! A home has moved to another address with a token of the other home's, and no event has told of it. It is noticed
//! when the token is read again, by whichever way, and until then, and above all then, no token meets the other home.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock as _, ManualClock};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::Sandbox;
use testkit::homes::{House, assert_done, changed, keep_warm, parameter, toggle_in, village};

use super::app_out_of_time;

/// The TTL of tokens.
const TTL: Duration = Duration::from_secs(300);

struct Removal {
    aws: AwsEmulator,
    old: House,
    new: House,
    app: Sandbox,
    clock: Arc<ManualClock>,
}

impl Removal {
    /// A home was in use and has moved since.
    async fn happen() -> Self {
        let (aws, [old]) = village(["cabin"]).await;
        let new = House::build("cabin").await;
        let (app, clock) = app_out_of_time(&aws).await;
        let removal = Self {
            aws,
            old,
            new,
            app,
            clock,
        };
        assert_done(&removal.handle(&toggle_in("cabin")).await);
        removal.new.store(&removal.aws).await;
        removal
    }

    async fn handle(&self, event: &Value) -> Value {
        self.app.handle(&event).await
    }

    async fn after_answer(&self) {
        let end = self.clock.now().after(Duration::from_secs(20));
        let end = u64::try_from(end.unix.as_millis()).unwrap();
        self.app.function.app.after_answer(end).await;
    }

    /// From now on commands reach the new address, and no token was ever shown at the other.
    async fn assert_over(&self) {
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
async fn it_is_noticed_after_the_answer_once_the_token_is_due() {
    let removal = Removal::happen().await;
    // Before that nothing is read.
    assert_done(&removal.handle(&toggle_in("cabin")).await);
    removal.after_answer().await;
    assert_eq!(removal.old.toggles(), 2);
    assert_eq!(removal.new.home.counters().tcp_connections, 0);

    removal.clock.advance(TTL);
    assert_done(&removal.handle(&toggle_in("cabin")).await);
    assert_eq!(removal.old.toggles(), 3);
    removal.after_answer().await;
    removal.assert_over().await;
}

#[tokio::test]
async fn it_is_noticed_by_a_keep_warm_event() {
    let removal = Removal::happen().await;
    removal.clock.advance(TTL);
    removal.handle(&keep_warm()).await;
    removal.assert_over().await;
}

#[tokio::test]
async fn it_is_noticed_past_the_hard_ttl() {
    let removal = Removal::happen().await;
    removal.clock.advance(TTL * 2);
    // Whether this one still goes to the old address or fails, it is the last.
    let answer = removal.handle(&toggle_in("cabin")).await;
    assert!(answer["statusCode"].is_u64(), "{answer}");
    removal.assert_over().await;
}

/// The token at the old address is revoked, as whoever moves does: the parameter is read for another one.
#[tokio::test]
async fn it_is_noticed_after_a_rejection() {
    let removal = Removal::happen().await;
    removal.old.home.revoke(&removal.old.token);
    removal
        .old
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    let answer = removal.handle(&toggle_in("cabin")).await;
    assert!(answer["statusCode"].is_u64(), "{answer}");
    assert_done(&removal.handle(&toggle_in("cabin")).await);
    assert_eq!(removal.new.home.counters().failed_logins, 0);
    assert_eq!(removal.old.home.counters().failed_logins, 1);
    removal.old.assert_saw_only_its_own_token();
    removal.new.assert_saw_only_its_own_token();
}

/// The event about the token comes first, or alone.
#[tokio::test]
async fn it_is_noticed_by_an_event_about_the_token() {
    let removal = Removal::happen().await;
    let name = parameter("cabin", "token");
    let answer = removal.handle(&changed(&name)).await;
    assert_eq!(answer["statusCode"], json!(200), "{answer}");
    removal.assert_over().await;
}
