//! The operator's command line. It reads the same variables as the function and performs the same operations, with the
//! operator's own AWS permissions.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lambda_runtime::Context;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::base::config::{Config, Environment};
use latchkey::base::logging;
use latchkey::composition::{Aws, function};
use serde_json::{Map, Value, json};

/// The time limit for delivering the metrics of a command.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// Manages the token of a home behind latchkey.
///
/// Reads the variables of the function: HA_URL, HA_TOKEN_PARAMETER, TABLE_NAME, HOMES_PARAMETER_PREFIX,
/// TOKEN_TTL_SECONDS and the others. The variables of the AWS SDK select the account. All values must be those of the
/// function: without TABLE_NAME, the command and the function can rotate at the same time, and TOKEN_TTL_SECONDS
/// determines how long the function may still use the old token. Logs go to standard error, and the result goes to
/// standard output.
#[derive(Parser)]
#[command(name = "latchkey", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Creates a new token in the home, stores it, and revokes the old token when it is no longer in use.
    Rotate {
        /// Shows the steps without running them.
        #[arg(long)]
        dry_run: bool,
        /// Finishes an earlier rotation and starts no new one.
        #[arg(long)]
        resume: bool,
        /// The home to rotate, if there are several. Without this option all homes are rotated.
        #[arg(long)]
        home: Option<String>,
        /// The time limit. The next run completes unfinished steps.
        #[arg(long, default_value_t = 15, value_name = "MINUTES")]
        limit: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match run(command).await {
        Ok(code) => code,
        Err(error) => {
            // An error of this write cannot be reported.
            let _ = writeln!(std::io::stderr(), "latchkey: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let config = Config::read(&Environment)?;
    logging::start_on_standard_error(config.log)?;
    let clock = Arc::new(SystemClock::new());
    let (payload, limit) = payload(command);
    let end = clock.now().after(limit);
    let function = function(config, &Aws::default(), clock, getrandom::u64()?).await;
    let mut context = Context::default();
    context.request_id = format!("{:016x}", getrandom::u64()?);
    context.deadline = u64::try_from(end.unix.as_millis())?;
    let deadline_ms = context.deadline;
    let reply = serde_json::to_value(function.handle(&payload, context).await)?;
    writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string_pretty(&reply)?
    )?;
    function.app.after_answer(deadline_ms).await;
    function.app.flush_at_shutdown(FLUSH_LIMIT).await;
    Ok(if is_success(&reply) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the event for the same operation of the function, and the time limit.
fn payload(command: Command) -> (String, Duration) {
    match command {
        Command::Rotate {
            dry_run,
            resume,
            home,
            limit,
        } => {
            let mut event = Map::from_iter([
                ("source".to_owned(), json!("rotate-token")),
                ("dry_run".to_owned(), json!(dry_run)),
                ("resume".to_owned(), json!(resume)),
                ("wait".to_owned(), json!(true)),
            ]);
            if let Some(home) = home {
                event.insert("home".to_owned(), json!(home));
            }
            let limit = Duration::from_secs(limit.saturating_mul(60));
            (Value::Object(event).to_string(), limit)
        }
    }
}

fn is_success(reply: &Value) -> bool {
    let has_problem = |home: &Value| home.get("problem").is_some();
    let homes = reply.get("homes").and_then(Value::as_array);
    reply["statusCode"] == 200 && !homes.into_iter().flatten().any(has_problem)
}
