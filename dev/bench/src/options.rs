//! The options of the benchmark.

use std::path::PathBuf;
use std::time::Duration;

use crate::concurrent;
use crate::error::Error;
use crate::part::Part;

/// The options of the benchmark.
#[derive(Clone, Debug)]
pub(crate) struct BenchOptions {
    /// The function's executable, built as for deployment. Its zip is next to it, with `.zip` appended to the name.
    pub(crate) bootstrap: PathBuf,
    /// The executable of the bare function, with its zip.
    pub(crate) bare: PathBuf,
    /// The file that the figures are written to.
    pub(crate) report: PathBuf,
    /// The parts to run.
    pub(crate) parts: Vec<Part>,
    /// The total number of commands of the concurrent callers.
    pub(crate) concurrent_commands: usize,
    /// The duration of the freeze. `None` is a short freeze, with a home that closes idle connections early. With a
    /// duration, the home has Home Assistant's own heartbeat.
    pub(crate) freeze: Option<Duration>,
}

impl BenchOptions {
    /// Reads the options from the variables `ONLY` (names of parts, separated by commas), `BENCH_COMMANDS` and
    /// `BENCH_FREEZE_SECONDS`.
    ///
    /// # Errors
    /// If a variable has an invalid value.
    pub(crate) fn from_environment(
        bootstrap: &str,
        bare: &str,
        report: &str,
    ) -> Result<Self, Error> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let parts = match variable("ONLY") {
            Some(names) => names.split(',').map(part).collect::<Result<_, _>>()?,
            None => Part::ALL.to_vec(),
        };
        let number = |name: &'static str| {
            let value = variable(name).map(|value| value.parse::<u32>());
            value.transpose().map_err(|_| {
                Error::Setting(format!("{name} is not a number from 0 to {}", u32::MAX))
            })
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
    Part::named(name).ok_or_else(|| {
        let names = Part::ALL.map(Part::name).join(", ");
        Error::Setting(format!(
            "ONLY has the unknown part `{name}`: the parts are {names}"
        ))
    })
}
