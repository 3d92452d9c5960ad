//! The application without the Lambda runtime around it, put together as the executable does it.

use std::sync::Arc;
use std::time::Duration;

use lambda_http::Context;
use latchkey::app::App;
use latchkey::bridge::{Bridge, Retry};
use latchkey::clock::{Clock, SystemClock};
use latchkey::config::{Config, Lookup, TokenOrigin};
use latchkey::home_assistant::{Extras, Session};
use latchkey::idempotency::{Idempotency, MemoryStore};
use latchkey::metrics::{CloudWatchSink, MetricSink, Metrics};
use latchkey::source::{Encryption, FileSource, SecretSource, SsmSource, VariableSource};
use latchkey::token::TokenService;
use latchkey_dev::stack::AwsEmulator;
use serde_json::Value;

/// An application with its token in `aws`, configured by `lookup`; without a namespace of CloudWatch it measures nothing.
pub(crate) fn app(aws: &AwsEmulator, lookup: &dyn Lookup, namespace: Option<&str>) -> Arc<App> {
    let config = Config::read(lookup).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sink = namespace.map(|namespace| -> Box<dyn MetricSink> {
        let client = aws_sdk_cloudwatch::Client::new(aws.sdk_config());
        Box::new(CloudWatchSink::new(client, namespace.to_owned()))
    });
    let metrics = Arc::new(Metrics::new(sink, clock.clone()));
    let source: Box<dyn SecretSource> = match config.token.origin {
        TokenOrigin::Parameter(name) => {
            let client = aws_sdk_ssm::Client::new(aws.sdk_config());
            Box::new(SsmSource::new(client, name, Encryption::Required))
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
        1,
    );
    let scope = config.home.address.to_string();
    let session = Session::new(config.home, Extras::default(), clock.clone());
    let retry = Retry {
        base: Duration::from_millis(1),
        ..Retry::default()
    };
    let bridge = Bridge::new(tokens, session, retry, clock.clone(), metrics.clone(), 1);
    let store = Box::new(MemoryStore::default());
    let idempotency = Idempotency::new(store, scope, clock.clone(), 1);
    Arc::new(App::new(
        bridge,
        idempotency,
        config.caller_auth,
        clock,
        metrics,
    ))
}

/// Hands the application one event; it has 20 s.
pub(crate) async fn handle(app: &Arc<App>, payload: &str) -> Value {
    let mut context = Context::default();
    context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
    let end = SystemClock::new().now().after(Duration::from_secs(20));
    context.deadline = u64::try_from(end.unix.as_millis()).unwrap();
    serde_json::to_value(app.handle(payload, context).await).unwrap()
}
