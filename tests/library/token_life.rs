//! The token's life over a simulated home and an emulated AWS: how it is proven once by many sandboxes, replaced, read
//! again behind the caller's back, and how it ends.

mod changes;
mod expiry;
mod refresh;
mod settings;
mod sharing;
mod store;

use std::sync::Arc;

use latchkey::base::clock::ManualClock;
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use testkit::{Sandbox, impatient, stopped_clock};

const TABLE: &str = "latchkey";

/// A simulated home, an emulated AWS with the token and a table in it, and a clock that all sandboxes share.
struct TokenStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
    clock: Arc<ManualClock>,
}

impl TokenStage {
    async fn set() -> Self {
        Self::at(HomeOptions::default()).await
    }

    /// A stage with a home of these options.
    async fn at(options: HomeOptions) -> Self {
        let stage = testkit::Stage::builder().home(options).table(TABLE);
        let testkit::Stage { home, aws, token } = stage.start().await;
        Self {
            home,
            aws,
            token,
            clock: stopped_clock(),
        }
    }

    /// One more sandbox.
    async fn sandbox(&self, more: &[(&str, &str)]) -> Sandbox {
        let aws = impatient(&self.aws, self.aws.endpoint());
        let sandbox = Sandbox::builder().sdk(aws).clock(self.clock.clone());
        let sandbox = sandbox.patient().env("HA_URL", self.home.url());
        sandbox.envs(more.iter().copied()).any_seed().start().await
    }

    /// One more sandbox that shares verdicts with the others.
    async fn sharing(&self) -> Sandbox {
        self.sandbox(&[("TABLE_NAME", TABLE)]).await
    }

    /// How often parameters were read.
    async fn reads(&self) -> u64 {
        self.aws.calls_of(testkit::GET_PARAMETER).await.unwrap()
    }

    /// How often the table was written.
    async fn writes(&self) -> u64 {
        self.aws.calls_of("dynamodb:PutItem").await.unwrap()
    }

    /// Revokes a token, and waits until the sandboxes have noticed that their sockets were closed.
    async fn revoke(&self, token: &str, sandboxes: &[&Sandbox]) {
        assert!(self.home.revoke(token));
        for sandbox in sandboxes {
            sandbox.until_disconnected().await;
        }
    }
}
