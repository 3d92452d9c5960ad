//! Logging, one line per event.
//!
//! The log contains only latchkey's own events, at every level. Libraries log the data that they send, and that data
//! can contain the token.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, fmt};

use crate::base::config::{LogConfig, LogFormat};

/// Starts logging to standard output for the whole process.
pub fn start(config: LogConfig) -> Result<(), TryInitError> {
    start_on(config, std::io::stdout)
}

/// Starts logging to standard error for the whole process, for programs that write a result to standard output.
pub fn start_on_standard_error(config: LogConfig) -> Result<(), TryInitError> {
    start_on(config, std::io::stderr)
}

fn start_on<W>(config: LogConfig, writer: W) -> Result<(), TryInitError>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let own = Targets::new()
        .with_target("latchkey", config.level)
        .with_target("bootstrap", config.level);
    let lines = fmt::layer().with_ansi(false).with_writer(writer);
    let lines = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).with_target(false).boxed(),
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(own))
        .try_init()
}
