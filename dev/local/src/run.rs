//! One run: starts the stack, sends the events, checks the results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use latchkey::base::clock::SystemClock;
use latchkey::base::config::Config;
use latchkey::composition;
use latchkey_dev::stack::{AwsEmulator, Function, FunctionOptions};
use latchkey_local::LocalPort;

use crate::home::Home;
use crate::options::RunOptions;
use crate::report::{self, say};
use crate::steps::Steps;

const TOKEN_PARAMETER: &str = "/homeautomation/tokens/home-assistant";
/// The variables that the function gets from this process's environment.
const FORWARDED: [&str; 3] = ["LOG_LEVEL", "LOG_FORMAT", "METRICS"];

/// Runs latchkey once and prints each step.
///
/// # Errors
/// If a part does not start or a check fails; the text says which one.
pub(crate) async fn run(options: RunOptions) -> Result<(), String> {
    let began = Instant::now();
    let home = Home::start(&options).await?;
    report::step("home", began, home.describe());

    let started = Instant::now();
    let aws = AwsEmulator::start()
        .await
        .map_err(|error| error.to_string())?;
    let version = aws
        .put_token(TOKEN_PARAMETER, home.token())
        .await
        .map_err(|error| error.to_string())?;
    report::step(
        "aws",
        started,
        format!(
            "{}, {TOKEN_PARAMETER} stored as a SecureString, version {version}",
            aws.endpoint()
        ),
    );

    let started = Instant::now();
    let function = Function::start(function_options(&options, &home, &aws))
        .await
        .map_err(|error| error.to_string())?;
    report::step("function", started, function.url());

    let steps = Steps {
        home: &home,
        aws: &aws,
        function: &function,
    };
    let outcome = steps.all(options.light.as_deref()).await;
    match &outcome {
        Ok(()) => say(&format!(
            "\nAll checks passed in {:.1} s.",
            began.elapsed().as_secs_f64()
        )),
        Err(_) => say(&format!("\nThe function's log:\n{}", function.logs())),
    }
    if options.keep {
        let port = local_port(&options, &home, &aws).await?;
        keep(&home, &aws, &function, &port).await?;
    }
    function.stop().await;
    aws.stop().await;
    home.stop().await;
    outcome
}

fn function_options(options: &RunOptions, home: &Home, aws: &AwsEmulator) -> FunctionOptions {
    let mut function = FunctionOptions::new(&options.bootstrap)
        .aws(aws)
        .local()
        .env("CALLER_AUTH", "none")
        .env("HA_URL", home.url())
        .env("HA_TOKEN_PARAMETER", TOKEN_PARAMETER);
    for name in FORWARDED {
        if let Ok(value) = std::env::var(name) {
            function = function.env(name, value);
        }
    }
    function
}

/// Opens a local port with the configuration of the function.
async fn local_port(
    options: &RunOptions,
    home: &Home,
    aws: &AwsEmulator,
) -> Result<LocalPort, String> {
    let variables: BTreeMap<String, String> = function_options(options, home, aws)
        .env
        .into_iter()
        .collect();
    let config = Config::read(&variables).map_err(|error| error.to_string())?;
    let aws = aws.sdk_config().clone().into();
    let clock = Arc::new(SystemClock::new());
    let seed = fastrand::u64(..);
    let function = composition::function(config, &aws, clock, seed).await;
    let port = LocalPort::open(Arc::new(function)).await;
    port.map_err(|error| error.to_string())
}

/// Prints the addresses and waits until the user stops the run.
async fn keep(
    home: &Home,
    aws: &AwsEmulator,
    function: &Function,
    port: &LocalPort,
) -> Result<(), String> {
    say(&format!(
        "\nStill running:\n  home      {}\n  AWS       {}\n  function  {url}\n  HTTP      {port}\nFor example:\n  \
         curl -d '{{\"source\":\"keep-warm\"}}' {url}\n  curl {port}/api/states\nPress Ctrl-C to stop.",
        home.url(),
        aws.endpoint(),
        url = function.url(),
        port = port.url(),
    ));
    home.until_stopped().await
}
