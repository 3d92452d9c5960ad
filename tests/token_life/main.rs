//! The token's life over a simulated home and an emulated AWS: how it is proven once by many sandboxes, replaced, read
//! again behind the caller's back, and how it ends.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/mod.rs"]
mod lambda;
mod sandbox;

mod changes;
mod expiry;
mod refresh;
mod settings;
mod sharing;
mod store;

use std::sync::Arc;

use lambda::PARAMETER;
use latchkey::base::clock::{Clock, ManualClock};
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use sandbox::{Sandbox, impatient, stopped_clock, variables};

const TABLE: &str = "latchkey";

/// A simulated home, an emulated AWS with the token and a table in it, and a clock that all sandboxes share.
struct Stage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
    clock: Arc<ManualClock>,
}

impl Stage {
    async fn set() -> Self {
        let home = SimulatedHome::start(HomeOptions::default()).await.unwrap();
        let token = home.mint_token("latchkey");
        Self::with(home, token).await
    }

    async fn with(home: SimulatedHome, token: String) -> Self {
        let aws = AwsEmulator::start().await.unwrap();
        aws.put_token(PARAMETER, &token).await.unwrap();
        aws.create_table(TABLE).await.unwrap();
        Self {
            home,
            aws,
            token,
            clock: stopped_clock(),
        }
    }

    /// One more sandbox.
    async fn sandbox(&self, more: &[(&str, &str)]) -> Sandbox {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let variables = variables(&self.home.url(), more);
        let aws = impatient(&self.aws, self.aws.endpoint());
        Sandbox::new(aws, &variables, clock, fastrand::u64(..)).await
    }

    /// One more sandbox that shares verdicts with the others.
    async fn sharing(&self) -> Sandbox {
        self.sandbox(&[("TABLE_NAME", TABLE)]).await
    }

    /// How often parameters were read.
    async fn reads(&self) -> u64 {
        self.aws.calls_of(lambda::GET_PARAMETER).await.unwrap()
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
