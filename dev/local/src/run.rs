//! One run: starts the stack, sends the events, checks the results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use latchkey::base::clock::SystemClock;
use latchkey::base::config::Config;
use latchkey::composition;
use latchkey_dev::stack::{AwsEmulator, Function, FunctionOptions};
use latchkey_local::{LocalPort, SocketPort};

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
        let ports = Ports::open(&options, &home, &aws).await?;
        keep(&home, &aws, &function, &ports).await?;
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

/// The local ports of a second function, in this process, with the configuration of the first.
struct Ports {
    http: LocalPort,
    socket: SocketPort,
}

impl Ports {
    async fn open(options: &RunOptions, home: &Home, aws: &AwsEmulator) -> Result<Self, String> {
        let mut variables: BTreeMap<String, String> = function_options(options, home, aws)
            .env
            .into_iter()
            .collect();
        let queue = aws.create_queue("latchkey-deadlines").await;
        let queue = queue.map_err(|error| error.to_string())?;
        variables.insert("DEADLINE_QUEUE_URL".to_owned(), queue.clone());
        let config = Config::read(&variables).map_err(|error| error.to_string())?;
        let sdk = aws.sdk_config().clone().into();
        let clock = Arc::new(SystemClock::new());
        let seed = fastrand::u64(..);
        let function = Arc::new(composition::function(config, &sdk, clock, seed).await);
        let http = LocalPort::open(function.clone()).await;
        let socket = SocketPort::open(function, aws, queue).await;
        Ok(Self {
            http: http.map_err(|error| error.to_string())?,
            socket: socket.map_err(|error| error.to_string())?,
        })
    }
}

/// Prints the addresses and waits until the user stops the run.
async fn keep(
    home: &Home,
    aws: &AwsEmulator,
    function: &Function,
    ports: &Ports,
) -> Result<(), String> {
    say(&format!(
        "\nStill running:\n  home      {}\n  AWS       {}\n  function  {url}\n  HTTP      {port}\n  \
         WebSocket {socket}\nFor example:\n  curl -d '{{\"source\":\"keep-warm\"}}' {url}\n  \
         curl {port}/api/states\nPress Ctrl-C to stop.",
        home.url(),
        aws.endpoint(),
        url = function.url(),
        port = ports.http.url(),
        socket = ports.socket.url(),
    ));
    home.until_stopped().await
}
