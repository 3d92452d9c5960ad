//! The function under Lambda's emulator, with its token in an emulated AWS and a simulated home: what it does with bad
//! input, bad configuration and a failing AWS, and what it prints and measures.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[path = "../lambda/callers.rs"]
#[allow(dead_code, reason = "each test binary uses a part of this")]
mod callers;
#[path = "../lambda/app.rs"]
mod in_process;
#[path = "../lambda/mod.rs"]
mod lambda;

mod cache;
mod configuration;
mod events;
mod input;
mod logs;
mod memory;
mod metrics;
mod parameter_store;
mod settings;

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::{AwsEmulator, Function, FunctionOptions};

/// A simulated home, its token stored in an emulated AWS.
struct Stage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
}

impl Stage {
    async fn set() -> Self {
        let home = SimulatedHome::start(HomeOptions::default()).await.unwrap();
        let aws = AwsEmulator::start().await.unwrap();
        let token = home.mint_token("latchkey");
        aws.put_token(lambda::PARAMETER, &token).await.unwrap();
        Self { home, aws, token }
    }

    fn options(&self) -> FunctionOptions {
        lambda::options(&self.aws, &self.home.url())
    }

    async fn function(&self) -> Function {
        Function::start(self.options()).await.unwrap()
    }

    /// Revokes the stored token, and waits until its sockets are closed.
    async fn revoke(&self) {
        assert!(self.home.revoke(&self.token));
        self.home
            .wait_for(|counters| counters.open_sockets == 0)
            .await;
    }

    /// How often the token was read.
    async fn reads(&self) -> u64 {
        self.aws.calls_of(lambda::GET_PARAMETER).await.unwrap()
    }
}
