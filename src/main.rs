//! The Lambda function: reads its configuration and runs. No logic lives here.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey::base::config::{Config, Environment, LogConfig};
use latchkey::base::logging;
use latchkey::composition::{Aws, function};
use latchkey::doors::lambda;

/// How long INIT may go on making things ready; the first invocation waits for it if it comes sooner.
const WARM_UP_LIMIT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = match Config::read(&Environment) {
        Ok(config) => config,
        Err(error) => {
            logging::start(LogConfig::default())?;
            tracing::error!(category = "configuration", error = %error, "latchkey cannot start");
            std::process::exit(1);
        }
    };
    logging::start(config.log)?;
    let is_concurrent = config.is_concurrent;
    let clock = Arc::new(SystemClock::new());
    // Sandboxes start alike, at times to the nanosecond: only the system tells them apart.
    let seed = getrandom::u64()?;
    let function = function(config, &Aws::default(), clock, seed).await;
    lambda::run(Arc::new(function), WARM_UP_LIMIT, is_concurrent).await
}
