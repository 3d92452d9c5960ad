//! The output of a run.

use std::time::Instant;

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the output of a command line program")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Prints a step's name, the time since `started` and the outcome.
pub(crate) fn step(name: &str, started: Instant, outcome: impl AsRef<str>) {
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    say(&format!(
        "{name:<12}{milliseconds:>9.1} ms  {}",
        outcome.as_ref()
    ));
}
