//! AWS on loopback: Parameter Store, KMS, CloudWatch, DynamoDB, SQS, EventBridge and STS. The emulator counts calls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
use serde::Deserialize;
use tokio::process::Command;

use super::fault::Fault;
use super::metrics::{self, Metric};
use crate::stack::error::{Error, Result};
use crate::stack::http_client::http_client;
use crate::stack::process::Program;
use crate::stack::tools;

const NAME: &str = "the AWS emulator";
const REGION: &str = "eu-central-1";
const READY_WITHIN: Duration = Duration::from_secs(60);
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "loopback-only";
/// CloudWatch does not notify of new data points.
const METRICS_POLL_EVERY: Duration = Duration::from_millis(50);

/// A running AWS emulator.
#[derive(Debug)]
pub struct AwsEmulator {
    program: Program,
    endpoint: String,
    config: SdkConfig,
    pub(super) client: reqwest::Client,
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
    /// Starts an empty emulator.
    ///
    /// # Errors
    /// If the emulator is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let mut command = Command::new(tools::python("aws")?);
        // -B: Python writes no compiled files.
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

    /// Returns the URL of all services.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the configuration of an SDK that uses the emulator.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// Returns the environment variables of an AWS SDK that uses the emulator.
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

    /// Returns the number of calls of each action, such as `ssm:GetParameter`.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn calls(&self) -> Result<BTreeMap<String, u64>> {
        let response = self.client.get(self.control("calls")).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Returns the number of calls of one action.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn calls_of(&self, action: &str) -> Result<u64> {
        Ok(self.calls().await?.get(action).copied().unwrap_or(0))
    }

    /// Resets the counts of calls.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn forget_calls(&self) -> Result<()> {
        self.client
            .delete(self.control("calls"))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Makes calls fail. If several faults match a call, the oldest one takes effect.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn inject(&self, fault: &Fault) -> Result<()> {
        let request = self.client.post(self.control("faults")).json(fault);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Removes all faults and ends the calls that hang.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn clear_faults(&self) -> Result<()> {
        self.client
            .delete(self.control("faults"))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Waits until a call of `action` hangs because of a fault. With [`Fault::after`], the call has
    /// taken effect by then. Each hanging call ends only one wait, so a second wait is for the next
    /// call.
    ///
    /// # Errors
    /// If no call hangs `within` the time, or the emulator does not respond.
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

    pub(super) fn control(&self, path: &str) -> String {
        format!("{}/_latchkey/{path}", self.endpoint)
    }

    /// Returns the metrics in `namespace`.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn metrics(&self, namespace: &str) -> Result<Vec<Metric>> {
        metrics::read(&aws_sdk_cloudwatch::Client::new(&self.config), namespace).await
    }

    /// Waits until `condition` accepts the metrics in `namespace`, and returns the metrics. The
    /// function sends metrics after its response.
    ///
    /// # Errors
    /// If a call fails, or `condition` does not accept the metrics `within` the time.
    pub async fn metrics_until(
        &self,
        namespace: &str,
        within: Duration,
        condition: impl Fn(&[Metric]) -> bool,
    ) -> Result<Vec<Metric>> {
        let deadline = Instant::now() + within;
        let mut poll = tokio::time::interval(METRICS_POLL_EVERY);
        loop {
            poll.tick().await;
            let metrics = self.metrics(namespace).await?;
            if condition(&metrics) {
                return Ok(metrics);
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    what: format!("metrics in {namespace}; present are {metrics:?}"),
                    seconds: within.as_secs(),
                });
            }
        }
    }

    /// Returns the emulator's output.
    pub fn logs(&self) -> String {
        self.program.log().text()
    }

    /// Stops the emulator and waits for its end.
    pub async fn stop(self) {
        self.program.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Concurrent calls can only be tested inside the emulator's process.
    #[tokio::test]
    async fn emulator_handles_concurrent_calls() {
        let tests = tools::script("test_aws_emulator.py").unwrap();
        let mut command = Command::new(tools::python("aws").unwrap());
        let output = command.arg("-B").arg(tests).kill_on_drop(true).output();
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("Ran 6 tests"), "{said}");
    }
}
