//! `make run`: runs latchkey once on the local stack, from event to light, and checks the results.

mod home;
mod options;
mod report;
mod run;
mod steps;

use std::process::ExitCode;

use tokio::runtime::Builder;

use self::options::RunOptions;

const USAGE: &str = "usage: latchkey-local --bootstrap PATH

Runs the function once on the local stack and checks the results. The environment sets the options:
  HOME_ASSISTANT=simulated|real   the home (default: simulated)
  HA_URL=URL                      your own home; its token is read from standard input
  LIGHT=ENTITY                    the light to switch
  KEEP=1                          leave everything running afterwards";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [flag, bootstrap] if flag == "--bootstrap" => start(bootstrap),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(bootstrap: &str) -> Result<(), String> {
    let options = RunOptions::from_environment(bootstrap)?;
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(run::run(options))
}

#[expect(
    clippy::print_stderr,
    reason = "the error output of a command line program"
)]
fn print_error(error: &str) {
    eprintln!("{error}");
}
