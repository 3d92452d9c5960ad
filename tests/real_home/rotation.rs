//! Rotation against a real Home Assistant that bans an address after three failed logins.
//!
//! The function under Lambda's emulator and the operator's command line rotate the token: alone, interrupted and
//! concurrently.

mod crashes;
mod neighbours;
pub(crate) mod operator;
mod plans;
mod rollback;
mod whole;

use std::time::Duration;

use latchkey_dev::stack::{
    AwsEmulator, FunctionOptions, RealHome, RealHomeOptions, StoredVersion, TokenEntry,
};
use serde_json::Value;
use testkit::PARAMETER;

const TABLE: &str = "latchkey";
/// The operator's own key. Every version must be encrypted with this key.
const KEY: &str = "alias/house";
/// The time limit of a wait for an event.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// Short limits that a busy machine can still keep. They cause a short drain and a short lease.
const SHORT: [(&str, &str); 4] = [
    ("TOKEN_TTL_SECONDS", "1"),
    ("HA_VALIDATE_TIMEOUT_MS", "800"),
    ("HA_CONNECT_TIMEOUT_MS", "800"),
    ("HA_COMMAND_TIMEOUT_MS", "1500"),
];

/// A home, and an emulated AWS that stores the home's token.
pub(crate) struct Stage {
    home: RealHome,
    aws: AwsEmulator,
}

impl Stage {
    async fn start() -> Self {
        let options = RealHomeOptions::default().login_attempts_threshold(3);
        let stage = testkit::Stage::real().home(options).key(KEY).table(TABLE);
        let testkit::Stage { home, aws, .. } = stage.start().await;
        Self { home, aws }
    }

    /// Returns the options of a function with the shared table.
    fn function(&self) -> FunctionOptions {
        testkit::options(crate::BOOTSTRAP, &self.aws, self.home.url())
            .env("TABLE_NAME", TABLE)
            .timeout(Duration::from_secs(60))
    }

    /// Returns the owner's tokens without the token of the test itself.
    async fn tokens(&self) -> Vec<TokenEntry> {
        let mut tokens = self.home.tokens().await.unwrap();
        tokens.retain(|token| !token.is_current);
        tokens
    }

    async fn history(&self) -> Vec<StoredVersion> {
        self.aws.history(PARAMETER).await.unwrap()
    }

    /// Returns the stored token.
    async fn stored(&self) -> String {
        self.history().await.pop().unwrap().value
    }

    /// Asserts that the home knows only the stored token, and that every login has succeeded.
    async fn assert_settled(&self) {
        let stored = self.stored().await;
        let ids: Vec<_> = self.tokens().await.into_iter().map(|it| it.id).collect();
        assert_eq!(ids, [issuer(&stored)]);
        assert!(self.home.accepts(&stored).await.unwrap());
        assert_eq!(self.home.failed_logins().await.unwrap(), 0);
    }

    async fn stop(self) {
        self.aws.stop().await;
        self.home.stop().await;
    }
}

/// Returns the id by which the home knows a token.
fn issuer(token: &str) -> String {
    RealHome::issuer_of(token).unwrap()
}

/// Returns the state of the rotation in an answer.
pub(crate) fn state(answer: &Value) -> &str {
    let state = answer["rotation"]["state"].as_str();
    state.unwrap_or_else(|| panic!("no rotation: {answer}"))
}
