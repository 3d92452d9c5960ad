//! One sandbox of Lambda's: an application of its own in this process, with a clock and randomness of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use lambda_runtime::Context;
use latchkey::base::clock::{Clock, ManualClock, SystemClock};
use latchkey::base::config::Config;
use latchkey::composition;
use latchkey::doors::function::Function;
use latchkey::home::bridge::Health;
use latchkey::home::home_assistant::SessionState;
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};

/// How long an invocation has.
const INVOCATION: Duration = Duration::from_secs(60);

/// A keep-warm event.
pub(crate) const KEEP_WARM: &str = r#"{"source":"keep-warm"}"#;

/// A command that changes nothing.
pub(crate) const COMMAND: &str = r#"{"command":{"type":"ping"}}"#;

/// An application and its clock.
#[derive(Clone)]
pub(crate) struct Sandbox {
    pub(crate) app: Arc<Function>,
    clock: Arc<dyn Clock>,
}

/// Variables of the environment, each replacing the one of that name before it.
pub(crate) fn variables(home_url: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    [
        ("HA_URL", home_url),
        ("CALLER_AUTH", "none"),
        ("METRICS", "off"),
        // A busy machine is not to be taken for a home that does not answer.
        ("HA_VALIDATE_TIMEOUT_MS", "15000"),
    ]
    .iter()
    .chain(more)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect()
}

/// How long AWS may take to answer. Longer than a caller waits who has a stale token.
const AWS_LIMIT: Duration = Duration::from_millis(2_000);

/// The emulator's settings, but calls end in time and are not tried again.
pub(crate) fn impatient(aws: &AwsEmulator, endpoint: &str) -> SdkConfig {
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

/// A clock that shows the present and stands still.
pub(crate) fn stopped_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock::new().now().unix))
}

impl Sandbox {
    /// A cold one.
    pub(crate) async fn new(
        aws: SdkConfig,
        variables: &BTreeMap<String, String>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let mut config = Config::read(variables).unwrap();
        config.retry.base = Duration::from_millis(1);
        let app = composition::function(config, &aws.into(), clock.clone(), seed).await;
        Self {
            app: Arc::new(app),
            clock,
        }
    }

    /// Hands it one event.
    pub(crate) async fn handle(&self, payload: &str) -> Value {
        let mut context = Context::default();
        context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
        context.deadline = self.end();
        serde_json::to_value(self.app.handle(payload, context).await).unwrap()
    }

    /// Runs a command that must succeed.
    pub(crate) async fn command(&self) {
        let answer = self.handle(COMMAND).await;
        assert_eq!(answer["results"][0]["success"], true, "{answer}");
    }

    /// Does what follows an answer.
    pub(crate) async fn after_answer(&self) {
        self.app.app.after_answer(self.end()).await;
    }

    /// How its only home is.
    pub(crate) fn health(&self) -> Health {
        let (_, health) = self.app.app.health().next().unwrap();
        health
    }

    /// Waits until it has noticed that its socket was closed.
    pub(crate) async fn until_disconnected(&self) {
        // Nobody is told when a socket ends; the next command would find out.
        let mut poll = tokio::time::interval(Duration::from_millis(2));
        while self.health().session.state == SessionState::Ready {
            poll.tick().await;
        }
    }

    fn end(&self) -> u64 {
        let end = self.clock.now().after(INVOCATION).unix;
        u64::try_from(end.as_millis()).unwrap()
    }
}

/// An event that tells of a changed parameter, its detail as an object.
pub(crate) fn parameter_change(name: &str) -> String {
    json!({
        "source": "aws.ssm",
        "detail-type": "Parameter Store Change",
        "resources": [format!("arn:aws:ssm:eu-central-1:123456789012:parameter{name}")],
        "detail": { "operation": "Update", "name": name, "type": "SecureString" },
    })
    .to_string()
}

/// What may be shown of a token.
pub(crate) fn fingerprint(token: &str) -> String {
    latchkey::base::secret::AccessToken::new(token.into())
        .fingerprint()
        .to_string()
}
