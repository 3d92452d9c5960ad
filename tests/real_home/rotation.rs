//! Rotation against a real Home Assistant, which bans whoever fails to log in three times: by the function under
//! Lambda's emulator and by the operator's command line, alone, interrupted, and at once.

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
/// A key of the operator's own, which every version must be encrypted with.
const KEY: &str = "alias/house";
/// Waits that end as soon as what they are for has happened.
pub(crate) const WITHIN: Duration = Duration::from_secs(120);

/// Short limits, and with them a short drain and a short lease, that a busy machine can still keep.
const SHORT: [(&str, &str); 4] = [
    ("TOKEN_TTL_SECONDS", "1"),
    ("HA_VALIDATE_TIMEOUT_MS", "800"),
    ("HA_CONNECT_TIMEOUT_MS", "800"),
    ("HA_COMMAND_TIMEOUT_MS", "1500"),
];

/// A home, and an emulated AWS with the home's token in it.
pub(crate) struct Stage {
    home: RealHome,
    aws: AwsEmulator,
}

impl Stage {
    async fn set() -> Self {
        let options = RealHomeOptions::default().login_attempts_threshold(3);
        let stage = testkit::Stage::real().home(options).key(KEY).table(TABLE);
        let testkit::Stage { home, aws, .. } = stage.start().await;
        Self { home, aws }
    }

    /// A function with the shared table.
    fn function(&self) -> FunctionOptions {
        testkit::options(crate::BOOTSTRAP, &self.aws, self.home.url())
            .env("TABLE_NAME", TABLE)
            .timeout(Duration::from_secs(60))
    }

    /// The owner's tokens, but for the one that steers the home.
    async fn tokens(&self) -> Vec<TokenEntry> {
        let mut tokens = self.home.tokens().await.unwrap();
        tokens.retain(|token| !token.is_current);
        tokens
    }

    async fn history(&self) -> Vec<StoredVersion> {
        self.aws.history(PARAMETER).await.unwrap()
    }

    /// The token in use.
    async fn stored(&self) -> String {
        self.history().await.pop().unwrap().value
    }

    /// The home knows one token, which is the one in use, and nobody has ever failed to log in.
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

/// By what the home knows a token.
fn issuer(token: &str) -> String {
    RealHome::issuer_of(token).unwrap()
}

/// How far a run came.
pub(crate) fn state(answer: &Value) -> &str {
    let state = answer["rotation"]["state"].as_str();
    state.unwrap_or_else(|| panic!("no rotation: {answer}"))
}
