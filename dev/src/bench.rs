//! `make bench`: latchkey's release build next to what it cannot be faster than, all measured in one run.
//!
//! ```text
//! warm, cold, freeze, concurrent, memory, artifact, cache_hit, door, upkeep    one part each
//!   sandbox        the function's process, under
//!     runtime_api    Lambda's side of it
//!   surroundings   homes and AWS at a distance
//!   wire           the floor: a WebSocket with nothing around it
//!   figures        what comes out
//! ```

mod artifact;
mod cache_hit;
mod cold;
mod concurrent;
mod door;
mod figures;
mod freeze;
mod memory;
mod runtime_api;
mod sandbox;
mod surroundings;
mod upkeep;
mod warm;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use self::figures::{Figure, say};
use self::surroundings::{LIGHT, Surroundings};
use crate::stack;

/// The round trips to the home at which things are measured, in milliseconds.
const ROUND_TRIPS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
];

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stack failed.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The raw WebSocket failed.
    #[error("the raw WebSocket: {0}")]
    Wire(Box<tungstenite::Error>),
    /// The function's process ended.
    #[error("the function ended ({status}); it said:\n{output}")]
    Ended {
        /// How.
        status: String,
        /// Its output.
        output: String,
    },
    /// The function did not respond.
    #[error("the function did not respond within {seconds} s")]
    NoAnswer {
        /// How long it had.
        seconds: u64,
    },
    /// The function's response is not the one that was asked for.
    #[error("the function answered {answered}; it said:\n{output}")]
    WrongAnswer {
        /// The response.
        answered: String,
        /// Its output.
        output: String,
    },
    /// Something that must never be.
    #[error("{0}")]
    Wrong(String),
    /// A setting that means nothing.
    #[error("{0}")]
    Setting(String),
}

impl From<tungstenite::Error> for Error {
    fn from(error: tungstenite::Error) -> Self {
        Self::Wire(Box::new(error))
    }
}

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A command on a session that is there.
    WarmCommand,
    /// A command to a function that is not there yet.
    ColdFirstCommand,
    /// A command to a function that was frozen until its home hung up.
    AfterFreezeCommand,
    /// Commands of many callers at once.
    Concurrent64,
    /// Memory after many commands.
    Memory,
    /// Size and start.
    Artifact,
    /// A token from the cache.
    CacheHit,
    /// Commands over HTTP.
    Door,
    /// Calls beside the commands.
    Upkeep,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::WarmCommand,
        Self::ColdFirstCommand,
        Self::AfterFreezeCommand,
        Self::Concurrent64,
        Self::Memory,
        Self::Artifact,
        Self::CacheHit,
        Self::Door,
        Self::Upkeep,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarmCommand => "warm_command",
            Self::ColdFirstCommand => "cold_first_command",
            Self::AfterFreezeCommand => "after_freeze_command",
            Self::Concurrent64 => "concurrent_64",
            Self::Memory => "memory",
            Self::Artifact => "artifact",
            Self::CacheHit => "cache_hit",
            Self::Door => "door",
            Self::Upkeep => "upkeep",
        }
    }
}

/// What to measure, and of what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BenchOptions {
    /// The function's executable, built as it is deployed; its zip lies beside it, with `.zip` appended.
    pub bootstrap: PathBuf,
    /// The executable of a function that does nothing, likewise.
    pub bare: PathBuf,
    /// Where the figures go.
    pub report: PathBuf,
    /// Which parts to run.
    pub parts: Vec<Part>,
    /// How many commands the concurrent callers run in all.
    pub concurrent_commands: usize,
    /// How long the function is frozen. By default some seconds, before a home that hangs up early; given, before one
    /// that does as Home Assistant does.
    pub freeze: Option<Duration>,
}

impl BenchOptions {
    /// As the environment asks: `ONLY` (names of parts, with commas), `BENCH_COMMANDS`, `BENCH_FREEZE_SECONDS`.
    ///
    /// # Errors
    /// When a variable has a value that means nothing.
    pub fn from_environment(bootstrap: &str, bare: &str, report: &str) -> Result<Self, Error> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let parts = match variable("ONLY") {
            Some(names) => names.split(',').map(part).collect::<Result<_, _>>()?,
            None => Part::ALL.to_vec(),
        };
        let number = |name: &'static str| {
            let value = variable(name).map(|value| value.parse::<u32>());
            value
                .transpose()
                .map_err(|_| Error::Setting(format!("{name} is not a number")))
        };
        let commands = number("BENCH_COMMANDS")?.and_then(|count| usize::try_from(count).ok());
        let freeze = number("BENCH_FREEZE_SECONDS")?;
        Ok(Self {
            bootstrap: bootstrap.into(),
            bare: bare.into(),
            report: report.into(),
            parts,
            concurrent_commands: commands.unwrap_or(concurrent::DEFAULT_COMMANDS),
            freeze: freeze.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

fn part(name: &str) -> Result<Part, Error> {
    let part = Part::ALL.into_iter().find(|part| part.name() == name);
    part.ok_or_else(|| {
        let names = Part::ALL.map(Part::name).join(", ");
        Error::Setting(format!(
            "ONLY names parts that there are not; there are {names}"
        ))
    })
}

/// Measures, prints what came out, and writes it to the report.
///
/// A bound that was missed is printed and written and no error: how fast a machine is decides nothing. A command that
/// failed, was run twice, or got another one's reply is one.
///
/// # Errors
/// When something could not be measured, or a command went wrong.
pub async fn run(options: BenchOptions) -> Result<(), Error> {
    let began = Instant::now();
    let surroundings = Surroundings::start(options.bootstrap.clone(), options.bare.clone()).await?;
    say(&format!(
        "R is the round trip to the home, without TLS; to AWS it is {} ms. The floor is measured in the same run.",
        figures::ms(surroundings::AWS_ROUND_TRIP),
    ));
    let mut all = Vec::new();
    for &part in &options.parts {
        let figures = measure(part, &surroundings, &options).await?;
        for figure in &figures {
            figure.print();
        }
        all.extend(figures);
        // Written as it grows: what was measured before a failure is worth keeping.
        figures::write(&all, &options.report)?;
    }
    say(&format!(
        "\n{} of {} bounds held. {} written, in {:.0} s.",
        all.iter().filter(|figure| figure.held).count(),
        all.len(),
        options.report.display(),
        began.elapsed().as_secs_f64(),
    ));
    Ok(())
}

async fn measure(
    part: Part,
    surroundings: &Surroundings,
    options: &BenchOptions,
) -> Result<Vec<Figure>, Error> {
    let began = Instant::now();
    let (what, figures) = match part {
        Part::WarmCommand => (warm::WHAT, warm::measure(surroundings).await?),
        Part::ColdFirstCommand => (cold::WHAT, cold::measure(surroundings).await?),
        Part::AfterFreezeCommand => (
            freeze::WHAT,
            freeze::measure(surroundings, options.freeze).await?,
        ),
        Part::Concurrent64 => (
            concurrent::WHAT,
            concurrent::measure(surroundings, options.concurrent_commands).await?,
        ),
        Part::Memory => (memory::WHAT, memory::measure(surroundings).await?),
        Part::Artifact => (artifact::WHAT, artifact::measure(surroundings).await?),
        Part::CacheHit => (cache_hit::WHAT, cache_hit::measure(surroundings).await?),
        Part::Door => (door::WHAT, door::measure(surroundings).await?),
        Part::Upkeep => (upkeep::WHAT, upkeep::measure(surroundings).await?),
    };
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("\n{}: {what} ({seconds:.0} s)", part.name()));
    figures::print_heads();
    Ok(figures)
}

/// The command that is measured.
fn turn_on() -> Value {
    json!({
        "type": "call_service",
        "domain": "light",
        "service": "turn_on",
        "target": {"entity_id": LIGHT},
    })
}

/// A payload that runs one command.
fn direct(command: &Value) -> Bytes {
    json!({ "command": command }).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_names() {
        for known in Part::ALL {
            assert_eq!(part(known.name()).unwrap(), known);
        }
        assert!(part("warm").is_err());
    }
}
