//! `make run`: the main job once, from event to light, on the local stack, with everything it
//! claims checked.

mod home;
mod report;
mod steps;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use home::Home;
use latchkey::base::clock::SystemClock;
use latchkey::base::config::Config;
use latchkey::composition;
use report::say;
use steps::Steps;

use super::{AwsEmulator, Function, FunctionOptions, LocalPort};

const TOKEN_PARAMETER: &str = "/homeautomation/tokens/home-assistant";
/// Passed on to the function as they are, when set.
const PASSED_ON: [&str; 3] = ["LOG_LEVEL", "LOG_FORMAT", "METRICS"];

/// What to run, and on which home.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// The function's executable.
    pub bootstrap: PathBuf,
    /// Which home to use.
    pub home: HomeChoice,
    /// The light to switch; else the home's first.
    pub light: Option<String>,
    /// Leave everything up afterwards, until Ctrl-C or the end of standard input.
    pub keep: bool,
}

impl RunOptions {
    /// A run of `bootstrap` on the simulated home.
    pub fn new(bootstrap: impl Into<PathBuf>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            home: HomeChoice::Simulated,
            light: None,
            keep: false,
        }
    }

    /// As the environment asks: `HOME_ASSISTANT` (`simulated`, `real`), or `HA_URL` for a home of
    /// one's own, `LIGHT`, `KEEP`.
    ///
    /// # Errors
    /// When a variable has a value that means nothing.
    pub fn from_environment(bootstrap: impl Into<PathBuf>) -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = match (variable("HA_URL"), variable("HOME_ASSISTANT").as_deref()) {
            (Some(url), None) => HomeChoice::Own(url),
            (Some(_), Some(_)) => {
                return Err("HA_URL and HOME_ASSISTANT exclude each other: set one".to_owned());
            }
            (None, None | Some("simulated")) => HomeChoice::Simulated,
            (None, Some("real")) => HomeChoice::Real,
            (None, Some(_)) => {
                return Err(
                    "HOME_ASSISTANT is neither `simulated` nor `real`; for your own, set HA_URL"
                        .to_owned(),
                );
            }
        };
        Ok(Self {
            bootstrap: bootstrap.into(),
            home,
            light: variable("LIGHT"),
            keep: variable("KEEP").is_some_and(|value| value != "0"),
        })
    }
}

/// Which home to run on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HomeChoice {
    /// The simulated one, in this process.
    Simulated,
    /// Home Assistant itself, installed under the tools directory.
    Real,
    /// The one at this URL; its token comes from standard input.
    Own(String),
}

/// Runs the main job and prints what happened; the error says what did not hold.
///
/// # Errors
/// With what did not hold, for a person to read.
pub async fn run(options: RunOptions) -> Result<(), String> {
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
            "\nAll of it held, in {:.1} s.",
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
    for name in PASSED_ON {
        if let Ok(value) = std::env::var(name) {
            function = function.env(name, value);
        }
    }
    function
}

/// The HTTP door, without Lambda, as the function is set up.
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

async fn keep(
    home: &Home,
    aws: &AwsEmulator,
    function: &Function,
    port: &LocalPort,
) -> Result<(), String> {
    say(&format!(
        "\nStill up:\n  home      {}\n  AWS       {}\n  function  {url}\n  HTTP      {port}\nFor example:\n  \
         curl -d '{{\"source\":\"keep-warm\"}}' {url}\n  curl {port}/api/states\nCtrl-C ends it.",
        home.url(),
        aws.endpoint(),
        url = function.url(),
        port = port.url(),
    ));
    home.until_told_to_end().await
}
