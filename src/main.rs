//! The Lambda function: builds the adapters and runs. No logic lives here.

use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls;
use latchkey::app::App;
use latchkey::bridge::{Bridge, Retry};
use latchkey::clock::{Clock, SystemClock};
use latchkey::config::{Config, Environment, HomeConfig, MetricsConfig, MetricsSink, TokenOrigin};
use latchkey::home_assistant::{Extras, Session};
use latchkey::idempotency::{DynamoDbStore, Idempotency, MemoryStore, OutcomeStore};
use latchkey::metrics::{CloudWatchSink, EmfSink, MetricSink, Metrics};
use latchkey::source::{Encryption, FileSource, SecretSource, SsmSource, VariableSource};
use latchkey::token::TokenService;
use latchkey::{lambda, logging};
use tokio::sync::OnceCell;

/// How long INIT may go on making things ready; the first invocation waits for it if it comes sooner.
const WARM_UP_LIMIT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = match Config::read(&Environment) {
        Ok(config) => config,
        Err(error) => {
            logging::start(latchkey::config::LogConfig::default())?;
            tracing::error!(category = "configuration", error = %error, "latchkey cannot start");
            std::process::exit(1);
        }
    };
    logging::start(config.log)?;
    let is_concurrent = config.is_concurrent;
    // Sandboxes start alike, at times to the nanosecond: only the system tells them apart.
    let app = Arc::new(build(config, getrandom::u64()?).await);
    lambda::run(app, WARM_UP_LIMIT, is_concurrent).await
}

async fn build(config: Config, seed: u64) -> App {
    let mut seeds = fastrand::Rng::with_seed(seed);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let aws = Aws::default();
    let sink = metric_sink(&config.metrics, &aws).await;
    let metrics = Arc::new(Metrics::new(sink, clock.clone()));
    let source: Box<dyn SecretSource> = match config.token.origin {
        TokenOrigin::Parameter(name) => aws.parameter(name, Encryption::Required).await,
        TokenOrigin::Variable(value) => Box::new(VariableSource::new(value)),
        TokenOrigin::File(path) => Box::new(FileSource::new(path)),
    };
    let tokens = TokenService::new(
        source,
        config.token.format,
        config.token.ttl,
        clock.clone(),
        metrics.clone(),
        seeds.u64(..),
    );
    let home = config.home.address.to_string();
    let extras = extras(&config.home, &aws).await;
    let session = Session::new(config.home, extras, clock.clone());
    let bridge = Bridge::new(
        tokens,
        session,
        Retry::default(),
        clock.clone(),
        metrics.clone(),
        seeds.u64(..),
    );
    let store: Box<dyn OutcomeStore> = match config.table {
        Some(table) => {
            let client = aws_sdk_dynamodb::Client::new(aws.config().await);
            Box::new(DynamoDbStore::new(client, table))
        }
        None => Box::new(MemoryStore::default()),
    };
    let idempotency = Idempotency::new(store, home, clock.clone(), seeds.u64(..));
    App::new(bridge, idempotency, config.caller_auth, clock, metrics)
}

async fn metric_sink(config: &MetricsConfig, aws: &Aws) -> Option<Box<dyn MetricSink>> {
    let namespace = config.namespace.clone();
    match config.sink {
        MetricsSink::CloudWatch => {
            let client = aws_sdk_cloudwatch::Client::new(aws.config().await);
            Some(Box::new(CloudWatchSink::new(client, namespace)))
        }
        MetricsSink::Emf => Some(Box::new(EmfSink::new(namespace))),
        MetricsSink::Off => None,
    }
}

async fn extras(config: &HomeConfig, aws: &Aws) -> Extras {
    let secret = async |name: &Option<String>, encryption| match name {
        Some(name) => Some(aws.parameter(name.clone(), encryption).await),
        None => None,
    };
    Extras {
        ca: secret(&config.ca_parameter, Encryption::Optional).await,
        client_cert: secret(&config.client_cert_parameter, Encryption::Required).await,
        headers: secret(&config.headers_parameter, Encryption::Required).await,
    }
}

/// The AWS settings and clients, made when something first needs AWS.
#[derive(Default)]
struct Aws {
    config: OnceCell<aws_config::SdkConfig>,
    ssm: OnceCell<aws_sdk_ssm::Client>,
}

impl Aws {
    async fn config(&self) -> &aws_config::SdkConfig {
        self.config.get_or_init(load_aws_config).await
    }

    async fn parameter(&self, name: String, encryption: Encryption) -> Box<dyn SecretSource> {
        let client = self
            .ssm
            .get_or_init(async || aws_sdk_ssm::Client::new(self.config().await))
            .await;
        Box::new(SsmSource::new(client.clone(), name, encryption))
    }
}

async fn load_aws_config() -> aws_config::SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    // Parameter Store answers in milliseconds. What takes longer is better tried again.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(1_000))
        .operation_attempt_timeout(Duration::from_millis(2_000))
        .operation_timeout(Duration::from_millis(5_000))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .load()
        .await
}
