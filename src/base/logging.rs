//! Logs, one line an event.
//!
//! Only latchkey's own events are written, at any level: libraries log what they send, and some of that is the token.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, fmt};

use crate::base::config::{LogConfig, LogFormat};

/// Starts logging for the whole process, on standard output.
pub fn start(config: LogConfig) -> Result<(), TryInitError> {
    start_on(config, std::io::stdout)
}

/// Starts logging for the whole process, on standard error: for programs whose output is something else.
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
