//! What a run prints.

use std::time::Instant;

/// Prints one line.
#[expect(
    clippy::print_stdout,
    reason = "printing is what a command line program is for"
)]
pub(super) fn say(line: &str) {
    println!("{line}");
}

/// Prints a step's name, the time since `started`, and what came of it.
pub(super) fn step(name: &str, started: Instant, outcome: impl AsRef<str>) {
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    say(&format!(
        "{name:<12}{milliseconds:>9.1} ms  {}",
        outcome.as_ref()
    ));
}
