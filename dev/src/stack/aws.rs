//! AWS on loopback: Parameter Store, KMS, CloudWatch, DynamoDB, EventBridge and STS, with the
//! calls counted.

mod fault;
mod metrics;
mod parameters;
mod table;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
use serde::Deserialize;
use tokio::process::Command;

pub use self::fault::Fault;
pub use self::metrics::{Metric, Point};
pub use self::parameters::StoredVersion;

use super::error::chain;
use super::process::Program;
use super::{Error, REGION, Result, http_client, tools};

const NAME: &str = "the AWS emulator";
const READY_WITHIN: Duration = Duration::from_secs(60);
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "loopback-only";
/// CloudWatch tells nobody when a data point arrives.
const METRICS_POLL_EVERY: Duration = Duration::from_millis(50);

/// A running AWS emulator.
#[derive(Debug)]
pub struct AwsEmulator {
    program: Program,
    endpoint: String,
    config: SdkConfig,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct Announcement {
    endpoint: String,
}

#[derive(Deserialize)]
struct Hanging {
    hangs: bool,
}

impl AwsEmulator {
    /// Starts one, with nothing in it.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let mut command = Command::new(tools::python("aws")?);
        // -B: no compiled files beside the scripts.
        command.arg("-B").arg(tools::script("aws_emulator.py")?);
        let (program, Announcement { endpoint }) =
            Program::spawn_announced(NAME, command, READY_WITHIN).await?;
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "emulator");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Ok(Self {
            program,
            endpoint,
            config,
            client: http_client()?,
        })
    }

    /// Its one address for all services.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An SDK configuration for it, to make clients of.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// The environment variables that point an AWS SDK at it.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// How often each action has been called, such as `ssm:GetParameter`.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn calls(&self) -> Result<BTreeMap<String, u64>> {
        let response = self.client.get(self.control("calls")).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// How often one action has been called.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn calls_of(&self, action: &str) -> Result<u64> {
        Ok(self.calls().await?.get(action).copied().unwrap_or(0))
    }

    /// Starts counting anew.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn forget_calls(&self) -> Result<()> {
        self.client
            .delete(self.control("calls"))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Makes calls fail; of the faults that mean a call, the first that came is used up first.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn inject(&self, fault: &Fault) -> Result<()> {
        let request = self.client.post(self.control("faults")).json(fault);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Takes back all faults, and answers the calls that hang.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.client
            .delete(self.control("faults"))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Waits until a call of `action` hangs in a fault (which has taken effect by then, if it is
    /// [`Fault::after`]). Each call that hangs ends one such wait, so that a second wait is for
    /// the next call.
    ///
    /// # Errors
    /// When none hangs `within` the time, or the emulator does not answer.
    pub async fn until_hanging(&self, action: &str, within: Duration) -> Result<()> {
        let seconds = within.as_secs_f64();
        let path = format!("hanging?action={action}&seconds={seconds}");
        let request = self.client.get(self.control(&path));
        let response = request.send().await?.error_for_status()?;
        let Hanging { hangs } = response.json().await?;
        if hangs {
            return Ok(());
        }
        Err(Error::Timeout {
            what: format!("a call of {action} to hang"),
            seconds: within.as_secs(),
        })
    }

    fn control(&self, path: &str) -> String {
        format!("{}/_latchkey/{path}", self.endpoint)
    }

    /// The metrics that have arrived in `namespace`.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn metrics(&self, namespace: &str) -> Result<Vec<Metric>> {
        metrics::read(&aws_sdk_cloudwatch::Client::new(&self.config), namespace).await
    }

    /// Waits until `enough` is content with the metrics in `namespace`, and returns them. The
    /// function sends them after its answer.
    ///
    /// # Errors
    /// When a call fails, or the metrics are not there `within` the time.
    pub async fn metrics_until(
        &self,
        namespace: &str,
        within: Duration,
        enough: impl Fn(&[Metric]) -> bool,
    ) -> Result<Vec<Metric>> {
        let deadline = Instant::now() + within;
        let mut poll = tokio::time::interval(METRICS_POLL_EVERY);
        loop {
            poll.tick().await;
            let metrics = self.metrics(namespace).await?;
            if enough(&metrics) {
                return Ok(metrics);
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    what: format!("metrics in {namespace}, where there are {metrics:?}"),
                    seconds: within.as_secs(),
                });
            }
        }
    }

    /// What it has printed.
    pub fn logs(&self) -> String {
        self.program.log().text()
    }

    /// Ends it and waits until it has.
    pub async fn stop(self) {
        self.program.stop().await;
    }
}

fn failed(call: &'static str, error: &dyn std::error::Error) -> Error {
    Error::Aws {
        call,
        why: chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What threads do to each other cannot be brought about from outside the process.
    #[tokio::test]
    async fn calls_take_turns() {
        let tests = tools::script("test_aws_emulator.py").unwrap();
        let mut command = Command::new(tools::python("aws").unwrap());
        let output = command.arg("-B").arg(tests).kill_on_drop(true).output();
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("Ran 4 tests"), "{said}");
    }
}
