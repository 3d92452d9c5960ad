//! The first command after a cold start.

use std::time::Duration;

use hyper::body::Bytes;
use latchkey_dev::home::HomeOptions;

use crate::command::{direct, turn_on};
use crate::error::Error;
use crate::figures::{Figure, Sample, ms};
use crate::part::Part;
use crate::sandbox::{Program, Sandbox};
use crate::surroundings::{AWS_ROUND_TRIP, ROUND_TRIPS, Surroundings};

pub(super) const WHAT: &str = "from the start of the process to the first command's response; the floor is the bare \
    function's time plus the necessary round trips, max(2S, R) + 2R, where S is the round trip to AWS";

const STARTS: usize = 20;
/// The bound of latchkey's own time, in milliseconds.
const OWN_MS: f64 = 30.0;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for round_trip in ROUND_TRIPS {
        figures.push(at(surroundings, round_trip).await?);
    }
    Ok(figures)
}

/// The times of first invocations.
#[derive(Default)]
struct Starts {
    from_start: Sample,
    from_handing_out: Sample,
    until_asking: Sample,
}

impl Starts {
    /// Starts a function, invokes it once and ends it. The invocation is queued before the function asks for it, as
    /// when Lambda starts an execution environment on demand.
    async fn once(
        &mut self,
        program: &Program,
        payload: &Bytes,
        is_bare: bool,
    ) -> Result<(), Error> {
        let mut sandbox = Sandbox::start(program).await?;
        let answer = if is_bare {
            sandbox.invoke(payload).await?
        } else {
            sandbox.command(payload, true).await?
        };
        self.from_start.push(answer.answered - sandbox.spawned());
        self.from_handing_out.push(answer.elapsed());
        let asked = sandbox.api().first_asked().await;
        self.until_asking.push(asked - sandbox.spawned());
        // Waits until the metrics are sent, so that they do not affect the next start.
        sandbox.idle().await?;
        sandbox.end().await;
        Ok(())
    }
}

async fn at(surroundings: &Surroundings, round_trip: Duration) -> Result<Figure, Error> {
    let home = surroundings
        .home(round_trip, HomeOptions::default())
        .await?;
    let payload = direct(&turn_on());
    let (reads, connections) = (
        surroundings.token_reads().await?,
        home.traffic().connections,
    );
    let mut bare = Starts::default();
    let mut latchkey = Starts::default();
    for _ in 0..STARTS {
        bare.once(&surroundings.bare(), &payload, true).await?;
        latchkey
            .once(&surroundings.latchkey(&home), &payload, false)
            .await?;
    }
    let executed = home.executions();
    if executed != STARTS {
        return Err(Error::Wrong(format!(
            "{executed} executions of {STARTS} first commands"
        )));
    }
    let a_start = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / STARTS as f64;
    let reads = a_start(surroundings.token_reads().await? - reads);
    let connections = a_start(home.traffic().connections - connections);
    let failed_logins = home.counters().failed_logins;

    let paper = (2 * AWS_ROUND_TRIP).max(round_trip) + 2 * round_trip;
    let floor_ms = bare.from_start.p50_ms() + ms(paper);
    let own_ms = latchkey.from_start.p50_ms() - floor_ms;
    let handed_out_floor_ms = bare.from_handing_out.p50_ms() + ms(paper);
    let name = Part::ColdFirstCommand.name();
    Ok(
        Figure::timed(name, round_trip, &latchkey.from_start, floor_ms)
            .with_number("paper_ms", ms(paper))
            .with_number("own_ms", own_ms)
            .with_number("bare_p50_ms", bare.from_start.p50_ms())
            .with_number("until_asking_p50_ms", latchkey.until_asking.p50_ms())
            .with_number("bare_until_asking_p50_ms", bare.until_asking.p50_ms())
            .with_number("handed_out_p50_ms", latchkey.from_handing_out.p50_ms())
            .with_number("handed_out_p99_ms", latchkey.from_handing_out.p99_ms())
            .with_number("handed_out_floor_p50_ms", handed_out_floor_ms)
            .with_number("home_connections", connections)
            .with_number("token_reads", reads)
            .with("failed_logins", failed_logins)
            .bound("p50 <= floor + 30 ms", own_ms <= OWN_MS),
    )
}
