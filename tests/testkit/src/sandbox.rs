//! The function in the test's own process.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use futures_util::future::BoxFuture;
use lambda_runtime::Context;
use latchkey::base::clock::{Clock, ManualClock, SystemClock};
use latchkey::base::config::Config;
use latchkey::composition::{self, Aws};
use latchkey::doors::function::Function;
use latchkey::home::bridge::Health;
use latchkey::home::home_assistant::SessionState;
use latchkey_dev::gateway::Invoke;
use latchkey_dev::stack::AwsEmulator;
use serde_json::Value;

use crate::event::COMMAND;

/// The request ID of every invocation.
const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// The time limit of a call to AWS. It is longer than a caller with a stale token waits, and shorter than the refresh
/// after an answer may take.
const AWS_LIMIT: Duration = Duration::from_secs(3);

/// The longest wait for the delivery of metrics.
const DELIVERY_LIMIT: Duration = Duration::from_secs(60);

/// An execution environment of the function, in this process.
#[derive(Clone)]
pub struct Sandbox {
    /// The function.
    pub function: Arc<Function>,
    clock: Arc<dyn Clock>,
    time: Duration,
}

impl Sandbox {
    /// Prepares an execution environment with the system's clock, without variables and without AWS.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            aws: Aws::default(),
            variables: BTreeMap::new(),
            clock: Arc::new(SystemClock::new()),
            seed: 1,
            time: Duration::from_secs(20),
        }
    }

    /// Handles one event and returns the answer.
    pub async fn handle(&self, event: impl Display) -> Value {
        self.handle_within(self.time, event).await
    }

    /// Handles one event with this time limit, and returns the answer.
    pub async fn handle_within(&self, time: Duration, event: impl Display) -> Value {
        self.handle_in(Context::default(), time, event).await
    }

    /// Handles one event of a Lambda tenant, and returns the answer.
    pub async fn handle_for(&self, tenant: &str, event: impl Display) -> Value {
        let mut context = Context::default();
        context.tenant_id = Some(tenant.to_owned());
        self.handle_in(context, self.time, event).await
    }

    async fn handle_in(&self, mut context: Context, time: Duration, event: impl Display) -> Value {
        context.request_id = REQUEST_ID.to_owned();
        context.deadline = self.end(time);
        let reply = self.function.handle(&event.to_string(), context).await;
        serde_json::to_value(reply).unwrap()
    }

    /// Runs a command that must succeed.
    pub async fn command(&self) {
        let answer = self.handle(COMMAND).await;
        assert_eq!(answer["results"][0]["success"], true, "{answer}");
    }

    /// Does the work that follows an answer.
    pub async fn after_answer(&self) {
        self.after_answer_within(self.time).await;
    }

    /// Does the work that follows an answer, with this time limit.
    pub async fn after_answer_within(&self, time: Duration) {
        self.function.app.after_answer(self.end(time)).await;
    }

    /// Delivers the recorded metrics, and waits until they have arrived.
    pub async fn deliver_metrics(&self) {
        self.function.app.flush_at_shutdown(DELIVERY_LIMIT).await;
    }

    /// Returns the state of the only home.
    pub fn health(&self) -> Health {
        let (_, health) = self.function.app.health().next().unwrap();
        health
    }

    /// Waits until the function has detected that its socket was closed.
    pub async fn until_disconnected(&self) {
        // The function does not report the end of a socket, so the test polls the state.
        let mut poll = tokio::time::interval(Duration::from_millis(2));
        while self.health().session.state == SessionState::Ready {
            poll.tick().await;
        }
    }

    /// Returns the end of an invocation that begins now, in milliseconds since the Unix epoch.
    fn end(&self, time: Duration) -> u64 {
        let end = self.clock.now().after(time).unix;
        u64::try_from(end.as_millis()).unwrap()
    }
}

impl Invoke for Sandbox {
    fn invoke(&self, event: Value) -> BoxFuture<'static, Result<Value, String>> {
        let sandbox = self.clone();
        Box::pin(async move { Ok(sandbox.handle(event).await) })
    }
}

/// The settings that a [`Sandbox`] starts with.
pub struct SandboxBuilder {
    aws: Aws,
    variables: BTreeMap<String, String>,
    clock: Arc<dyn Clock>,
    seed: u64,
    time: Duration,
}

impl SandboxBuilder {
    /// Sets the AWS emulator that the function calls.
    pub fn aws(self, aws: &AwsEmulator) -> Self {
        self.sdk(aws.sdk_config().clone())
    }

    /// Sets the settings of the function's AWS clients.
    pub fn sdk(mut self, config: SdkConfig) -> Self {
        self.aws = config.into();
        self
    }

    /// Sets an environment variable. An earlier value is replaced.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Sets several environment variables. Earlier values are replaced.
    pub fn envs<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        for (name, value) in variables {
            self = self.env(name, value);
        }
        self
    }

    /// Accepts every caller, and turns metrics off.
    pub fn local(self) -> Self {
        self.env("CALLER_AUTH", "none").env("METRICS", "off")
    }

    /// As [`SandboxBuilder::local`], with limits that a busy machine can keep: 15 s for the token check and 60 s for an
    /// event.
    pub fn patient(self) -> Self {
        let builder = self.local().env("HA_VALIDATE_TIMEOUT_MS", "15000");
        builder.time(Duration::from_secs(60))
    }

    /// Sets the clock, which also dates the deadlines of events.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the seed of all random numbers. The default is 1.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets a random seed. Several execution environments need different seeds.
    pub fn any_seed(self) -> Self {
        self.seed(fastrand::u64(..))
    }

    /// Sets the time limit of an event. The default is 20 s.
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Starts the function cold. The delay between attempts is almost zero.
    pub async fn start(self) -> Sandbox {
        let mut config = Config::read(&self.variables).unwrap();
        config.retry.base = Duration::from_millis(1);
        let clock = self.clock.clone();
        let function = composition::function(config, &self.aws, clock, self.seed).await;
        Sandbox {
            function: Arc::new(function),
            clock: self.clock,
            time: self.time,
        }
    }
}

/// Returns a clock that shows the present time and stands still.
pub fn stopped_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock::new().now().unix))
}

/// Returns the emulator's settings with another endpoint. Calls time out after 3 s and are not retried.
pub fn impatient(aws: &AwsEmulator, endpoint: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(AWS_LIMIT)
        .build();
    aws.sdk_config()
        .to_builder()
        .endpoint_url(endpoint)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        .build()
}
