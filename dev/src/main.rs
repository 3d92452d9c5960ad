//! The starter of the local stack.

use std::process::ExitCode;

use latchkey_dev::stack::run::{RunOptions, run};

const USAGE: &str = "usage: latchkey-dev run --bootstrap PATH

Runs the function once on the local stack and checks all that it does. The environment chooses the rest:
  HOME_ASSISTANT=simulated|real   the home to run on (simulated)
  HA_URL=URL                      your own home; its token is read from standard input
  LIGHT=ENTITY                    the light to switch
  KEEP=1                          leave everything up afterwards";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["run", "--bootstrap", bootstrap] => match RunOptions::from_environment(bootstrap) {
            Ok(options) => run(options).await,
            Err(why) => Err(why),
        },
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "where a command line program says what went wrong"
)]
fn complain(why: &str) {
    eprintln!("{why}");
}
