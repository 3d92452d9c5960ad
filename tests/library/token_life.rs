//! Tests of a token's life with a simulated home and an emulated AWS: validation, sharing between execution
//! environments, refresh, replacement and expiry.

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

/// A simulated home, an emulated AWS that holds the token and a table, and a clock that all execution environments
/// share.
struct TokenStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
    clock: Arc<ManualClock>,
}

impl TokenStage {
    async fn start() -> Self {
        Self::with_home(HomeOptions::default()).await
    }

    /// Starts a stage whose home has these options.
    async fn with_home(options: HomeOptions) -> Self {
        let stage = testkit::Stage::builder().home(options).table(TABLE);
        let testkit::Stage { home, aws, token } = stage.start().await;
        Self {
            home,
            aws,
            token,
            clock: stopped_clock(),
        }
    }

    /// Starts another execution environment.
    async fn sandbox(&self, more: &[(&str, &str)]) -> Sandbox {
        let aws = impatient(&self.aws, self.aws.endpoint());
        let sandbox = Sandbox::builder().sdk(aws).clock(self.clock.clone());
        let sandbox = sandbox.patient().env("HA_URL", self.home.url());
        sandbox.envs(more.iter().copied()).any_seed().start().await
    }

    /// Starts another execution environment, which shares token verdicts over the table.
    async fn sharing_sandbox(&self) -> Sandbox {
        self.sandbox(&[("TABLE_NAME", TABLE)]).await
    }

    /// Returns the number of parameter reads.
    async fn reads(&self) -> u64 {
        self.aws.calls_of(testkit::GET_PARAMETER).await.unwrap()
    }

    /// Returns the number of table writes.
    async fn writes(&self) -> u64 {
        self.aws.calls_of("dynamodb:PutItem").await.unwrap()
    }

    /// Revokes a token and waits until each execution environment has seen its socket close.
    async fn revoke(&self, token: &str, sandboxes: &[&Sandbox]) {
        assert!(self.home.revoke(token));
        for sandbox in sandboxes {
            sandbox.until_disconnected().await;
        }
    }
}
