//! Tests of the HTTP door: each route, each kind of caller, and the data that each caller may see.

mod alexa;
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

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use serde_json::Value;
use testkit::Sandbox;
use testkit::callers::variables;

/// A home, an emulated AWS, and an application that authenticates its callers.
struct DoorStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    app: Sandbox,
}

impl DoorStage {
    async fn start() -> Self {
        Self::with_variables(&[]).await
    }

    /// Starts a stage with additional variables.
    async fn with_variables(more: &[(&str, &str)]) -> Self {
        Self::with_home(HomeOptions::default(), more).await
    }

    /// Starts a stage whose home has these options.
    async fn with_home(options: HomeOptions, more: &[(&str, &str)]) -> Self {
        let stage = testkit::Stage::builder().home(options).callers();
        let testkit::Stage { home, aws, .. } = stage.start().await;
        let app = Self::app(&home, &aws, more, 1).await;
        Self { home, aws, app }
    }

    /// Starts another execution environment of the same function.
    async fn another(&self, more: &[(&str, &str)]) -> Sandbox {
        Self::app(&self.home, &self.aws, more, 2).await
    }

    async fn app(
        home: &SimulatedHome,
        aws: &AwsEmulator,
        more: &[(&str, &str)],
        seed: u64,
    ) -> Sandbox {
        let url = home.url();
        let sandbox = Sandbox::builder().aws(aws).envs(variables(&url));
        sandbox.envs(more.iter().copied()).seed(seed).start().await
    }

    async fn ask(&self, request: &Value) -> (u64, Value) {
        let answer = self.app.handle(&request).await;
        let body = answer["body"].as_str().unwrap_or_default();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (answer["statusCode"].as_u64().unwrap(), body)
    }
}
