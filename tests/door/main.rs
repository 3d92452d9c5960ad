//! The HTTP door: each route as each kind of caller, and what each may see.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[path = "../lambda/app.rs"]
mod in_process;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/mod.rs"]
mod lambda;

mod alexa;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/callers.rs"]
mod callers;

mod answerers;
mod events;
mod homes;
mod identities;
mod kept;
mod mutations;
mod rates;
mod rest;
mod room;
mod router;

use std::collections::BTreeMap;
use std::sync::Arc;

use callers::{SECRET, SECRET_PARAMETER, variables};
use latchkey::base::clock::SystemClock;
use latchkey::doors::function::Function;
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use serde_json::Value;

/// A home, AWS, and an application that lets in callers who prove who they are.
struct Stage {
    home: SimulatedHome,
    aws: AwsEmulator,
    app: Arc<Function>,
}

impl Stage {
    async fn set() -> Self {
        Self::with(&[]).await
    }

    /// A stage with more variables than usual.
    async fn with(more: &[(&str, &str)]) -> Self {
        let home = SimulatedHome::start(HomeOptions::default()).await.unwrap();
        Self::at(home, more).await
    }

    /// A stage with this home.
    async fn at(home: SimulatedHome, more: &[(&str, &str)]) -> Self {
        let aws = AwsEmulator::start().await.unwrap();
        let token = home.mint_token("latchkey");
        aws.put_token(lambda::PARAMETER, &token).await.unwrap();
        aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
        let app = Self::app(&home, &aws, more, 1).await;
        Self { home, aws, app }
    }

    /// Another execution environment of the same function.
    async fn another(&self, more: &[(&str, &str)]) -> Arc<Function> {
        Self::app(&self.home, &self.aws, more, 2).await
    }

    async fn app(
        home: &SimulatedHome,
        aws: &AwsEmulator,
        more: &[(&str, &str)],
        seed: u64,
    ) -> Arc<Function> {
        let url = home.url();
        let all = variables(&url).into_iter().chain(more.iter().copied());
        let lookup: BTreeMap<String, String> = all
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let clock = Arc::new(SystemClock::new());
        in_process::app_with_clock(aws, &lookup, clock, seed).await
    }

    async fn ask(&self, request: &Value) -> (u64, Value) {
        let answer = in_process::handle(&self.app, &request.to_string()).await;
        let body = answer["body"].as_str().unwrap_or_default();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (answer["statusCode"].as_u64().unwrap(), body)
    }
}
