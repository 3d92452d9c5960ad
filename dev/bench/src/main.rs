//! `make bench`: measures latchkey's release build and, in the same run, the fastest possible alternative, the floor.
//!
//! ```text
//! run         runs the parts
//!   warm, cold, freeze, rest, concurrent, memory, artifact, cache_hit, door, upkeep    one part each
//!     sandbox        the function's process
//!       runtime_api    Lambda's Runtime API and Extensions API for that process
//!     surroundings   homes and AWS, each behind a simulated network
//!     network        the networks to the home
//!     request        the requests that are measured
//!     floor          the floor: raw connections, of wire and http_wire
//!     figures        the figures, their table and the report
//! ```

mod artifact;
mod cache_hit;
mod cold;
mod command;
mod concurrent;
mod door;
mod error;
mod figures;
mod floor;
mod freeze;
mod http_wire;
mod memory;
mod network;
mod options;
mod part;
mod request;
mod rest;
mod run;
mod runtime_api;
mod sandbox;
mod surroundings;
mod upkeep;
mod warm;
mod wire;

use std::process::ExitCode;

use tokio::runtime::Builder;

use self::options::BenchOptions;

const USAGE: &str = "usage: latchkey-bench --bootstrap PATH --bare PATH --report PATH

Measures the function, a bare function and a raw WebSocket, and writes the figures to the report. The environment sets
the options:
  ONLY=NAME,NAME                  only these parts: warm_command, cold_first_command, after_freeze_command,
                                  alexa_directive, rest_write, rest_read, concurrent_64, memory,
                                  artifact, cache_hit, door, upkeep
  BENCH_COMMANDS=N                the number of commands of the 64 callers (default: 100000)
  BENCH_FREEZE_SECONDS=N          the duration of the freeze, with a home that has Home Assistant's own heartbeat";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["--bootstrap", bootstrap, "--bare", bare, "--report", report] => {
            start(bootstrap, bare, report)
        }
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

fn start(bootstrap: &str, bare: &str, report: &str) -> Result<(), String> {
    let options = BenchOptions::from_environment(bootstrap, bare, report);
    let options = options.map_err(|error| error.to_string())?;
    // With one thread, a measurement never waits for another thread of this runtime to wake up.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime
        .block_on(run::run(options))
        .map_err(|error| error.to_string())
}

#[expect(
    clippy::print_stderr,
    reason = "the error output of a command line program"
)]
fn print_error(error: &str) {
    eprintln!("{error}");
}
