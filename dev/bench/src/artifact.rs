//! The size of the executable and its start time.

use std::path::Path;
use std::time::Duration;

use latchkey_dev::home::HomeOptions;

use crate::error::Error;
use crate::figures::{Figure, Sample};
use crate::network::Network;
use crate::part::Part;
use crate::sandbox::{Program, Sandbox};
use crate::surroundings::Surroundings;

pub(super) const WHAT: &str = "from the start of the process to its first request for an invocation; the floor is the \
    bare function";

const STARTS: usize = 20;
const ZIP_LIMIT_BYTES: u64 = 5_000_000;
/// The longest start time, as a multiple of the bare function's.
const LONGEST_START: f64 = 3.0;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let home = surroundings
        .home(Network::NEAR, HomeOptions::default())
        .await?;
    let mut bare_times = Sample::default();
    let mut times = Sample::default();
    for _ in 0..STARTS {
        bare_times.push(start(&surroundings.bare()).await?);
        times.push(start(&surroundings.latchkey(&home)).await?);
    }
    let [bootstrap, bare] = surroundings.executables();
    let zip_bytes = size(&bootstrap.with_added_extension("zip"))?;
    let name = Part::Artifact.name();
    let figure = Figure::timed(name, Network::NEAR, &times, bare_times.p50_ms())
        .with("bootstrap_bytes", size(bootstrap)?)
        .with("zip_bytes", zip_bytes)
        .with("bare_bytes", size(bare)?)
        .with("bare_zip_bytes", size(&bare.with_added_extension("zip"))?)
        .bound(
            "start <= 3 x the bare function's, zip < 5 MB",
            times.p50_ms() <= LONGEST_START * bare_times.p50_ms() && zip_bytes < ZIP_LIMIT_BYTES,
        );
    Ok(vec![figure])
}

async fn start(program: &Program) -> Result<Duration, Error> {
    let mut sandbox = Sandbox::start(program).await?;
    let api = sandbox.api();
    let asked = sandbox.while_alive(api.first_asked()).await?;
    let time = asked - sandbox.spawned();
    sandbox.end().await;
    Ok(time)
}

fn size(path: &Path) -> Result<u64, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Io {
        what: format!("reading the size of {}", path.display()),
        source,
    })?;
    Ok(metadata.len())
}
