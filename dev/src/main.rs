//! The starter of the local stack.

use std::process::ExitCode;

use latchkey_dev::bench::{self, BenchOptions};
use latchkey_dev::stack::run::{RunOptions, run};
use tokio::runtime::Builder;

const USAGE: &str = "usage: latchkey-dev run --bootstrap PATH
       latchkey-dev bench --bootstrap PATH --bare PATH --report PATH

run: runs the function once on the local stack and checks all that it does. The environment chooses the rest:
  HOME_ASSISTANT=simulated|real   the home to run on (simulated)
  HA_URL=URL                      your own home; its token is read from standard input
  LIGHT=ENTITY                    the light to switch
  KEEP=1                          leave everything up afterwards

bench: measures the function next to a bare runtime and a raw WebSocket, and writes the figures to the report:
  ONLY=NAME,NAME                  some parts only: warm_command, cold_first_command, after_freeze_command,
                                  concurrent_64, memory, artifact, cache_hit, door, upkeep
  BENCH_COMMANDS=N                commands of the 64 callers (100000)
  BENCH_FREEZE_SECONDS=N          freeze for so long, before a home with Home Assistant's own heartbeat";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["run", "--bootstrap", bootstrap] => RunOptions::from_environment(bootstrap)
            .and_then(|options| block_on(Builder::new_multi_thread(), run(options))),
        [
            "bench",
            "--bootstrap",
            bootstrap,
            "--bare",
            bare,
            "--report",
            report,
        ] => {
            BenchOptions::from_environment(bootstrap, bare, report)
                .map_err(|error| error.to_string())
                .and_then(|options| {
                    // One thread: what measures must not wait for another of its own to wake up.
                    block_on(Builder::new_current_thread(), async {
                        bench::run(options).await.map_err(|error| error.to_string())
                    })
                })
        }
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

fn block_on(
    mut runtime: Builder,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let runtime = runtime.enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
}

#[expect(
    clippy::print_stderr,
    reason = "where a command line program says what went wrong"
)]
fn complain(why: &str) {
    eprintln!("{why}");
}
