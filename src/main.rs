//! The Lambda function: builds the adapters and runs. No logic lives here.

use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls;
use latchkey::app::App;
use latchkey::bridge::{Bridge, Retry};
use latchkey::clock::{Clock, SystemClock};
use latchkey::config::{Config, Environment, MetricsConfig, MetricsSink, TokenOrigin};
use latchkey::home_assistant::Session;
use latchkey::metrics::{CloudWatchSink, EmfSink, MetricSink, Metrics};
use latchkey::token::{FileSource, SsmSource, TokenService, TokenSource, VariableSource};
use latchkey::{lambda, logging};
use once_cell::unsync::OnceCell;

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
    let app = Arc::new(build(config).await?);
    lambda::run(app, WARM_UP_LIMIT).await
}

async fn build(config: Config) -> Result<App, lambda_runtime::Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let aws = Aws::default();
    let sink = metric_sink(&config.metrics, &aws).await;
    let metrics = Arc::new(Metrics::new(sink, clock.clone()));
    let source: Box<dyn TokenSource> = match config.token.origin {
        TokenOrigin::Parameter(name) => {
            let client = aws_sdk_ssm::Client::new(aws.config().await);
            Box::new(SsmSource::new(client, name))
        }
        TokenOrigin::Variable(value) => Box::new(VariableSource::new(value)),
        TokenOrigin::File(path) => Box::new(FileSource::new(path)),
    };
    let tokens = TokenService::new(
        source,
        config.token.format,
        config.token.ttl,
        clock.clone(),
        metrics.clone(),
        fastrand::u64(..),
    );
    let session = Session::new(config.home, clock.clone())?;
    let bridge = Bridge::new(
        tokens,
        session,
        Retry::default(),
        clock.clone(),
        metrics.clone(),
        fastrand::u64(..),
    );
    Ok(App::new(bridge, config.caller_auth, clock, metrics))
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

/// The AWS settings, read when something first needs AWS.
#[derive(Default)]
struct Aws(OnceCell<aws_config::SdkConfig>);

impl Aws {
    async fn config(&self) -> &aws_config::SdkConfig {
        if self.0.get().is_none() {
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
            let config = aws_config::defaults(BehaviorVersion::latest())
                .http_client(http)
                .timeout_config(timeouts)
                .load()
                .await;
            return self.0.get_or_init(|| config);
        }
        self.0.get_or_init(|| unreachable!("it was set above"))
    }
}
