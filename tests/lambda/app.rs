//! The application without the Lambda runtime around it.

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Context;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::base::config::{Config, Lookup};
use latchkey::composition;
use latchkey::doors::function::Function;
use latchkey_dev::stack::AwsEmulator;
use serde_json::Value;

/// An application with its token in `aws`, configured by `lookup`.
pub(crate) async fn app(aws: &AwsEmulator, lookup: &dyn Lookup) -> Arc<Function> {
    app_with_clock(aws, lookup, Arc::new(SystemClock::new()), 1).await
}

/// An application with a clock and randomness of its own.
pub(crate) async fn app_with_clock(
    aws: &AwsEmulator,
    lookup: &dyn Lookup,
    clock: Arc<dyn Clock>,
    seed: u64,
) -> Arc<Function> {
    let mut config = Config::read(lookup).unwrap();
    config.retry.base = Duration::from_millis(1);
    let aws = aws.sdk_config().clone().into();
    Arc::new(composition::function(config, &aws, clock, seed).await)
}

/// Hands the application one event; it has 20 s.
pub(crate) async fn handle(app: &Arc<Function>, payload: &str) -> Value {
    handle_at(app, payload, &SystemClock::new()).await
}

/// Hands the application one event, by a clock of the test's own; it has 20 s.
pub(crate) async fn handle_at(app: &Arc<Function>, payload: &str, clock: &dyn Clock) -> Value {
    handle_in(app, payload, clock, Context::default()).await
}

/// Hands the application one event for a tenant that Lambda keeps apart; it has 20 s.
#[allow(dead_code, reason = "each test binary uses a part of this")]
pub(crate) async fn handle_for(app: &Arc<Function>, payload: &str, tenant: &str) -> Value {
    let mut context = Context::default();
    context.tenant_id = Some(tenant.to_owned());
    handle_in(app, payload, &SystemClock::new(), context).await
}

async fn handle_in(
    app: &Arc<Function>,
    payload: &str,
    clock: &dyn Clock,
    mut context: Context,
) -> Value {
    context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
    let end = clock.now().after(Duration::from_secs(20));
    context.deadline = u64::try_from(end.unix.as_millis()).unwrap();
    serde_json::to_value(app.handle(payload, context).await).unwrap()
}
