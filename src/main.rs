//! The Lambda function. It reads the configuration and starts the runtime. It contains no other logic.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey::base::config::{Config, Environment, LogConfig};
use latchkey::base::logging;
use latchkey::composition::{Aws, function};
use latchkey::doors::lambda;

/// The time limit of the warm-up that begins during INIT. An earlier first invocation waits for the warm-up.
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
    // Execution environments can start at the same nanosecond, so only the operating system provides a distinct seed.
    let seed = getrandom::u64()?;
    let function = function(config, &Aws::default(), clock, seed).await;
    lambda::run(Arc::new(function), WARM_UP_LIMIT, is_concurrent).await
}
