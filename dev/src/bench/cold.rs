//! A command to a function that is not there yet.

use std::time::Duration;

use super::figures::{Figure, Sample, ms};
use super::sandbox::{Program, Sandbox};
use super::surroundings::{AWS_ROUND_TRIP, Surroundings};
use super::{Bytes, Error, Part, ROUND_TRIPS, direct, turn_on};
use crate::home::HomeOptions;

pub(super) const WHAT: &str = "from starting the process to the first command's response; the floor is the same of a \
    bare runtime and the round trips counted on paper, max(2S, R) + 2R";

const STARTS: usize = 20;
/// What latchkey may take beyond the floor, in milliseconds.
const OWN_MS: f64 = 30.0;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for round_trip in ROUND_TRIPS {
        figures.push(at(surroundings, round_trip).await?);
    }
    Ok(figures)
}

/// What first invocations took.
#[derive(Default)]
struct Starts {
    from_start: Sample,
    from_handing_out: Sample,
    until_asking: Sample,
}

impl Starts {
    /// Starts a function, invokes it once, and ends it. The invocation is there before the function asks for it, as
    /// when Lambda starts a sandbox on demand.
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
        // Its metrics are on their way; they must not be in the way of the next.
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
    let strikes = home.counters().failed_logins;

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
            .with("failed_logins", strikes)
            .bound("p50 <= floor + 30 ms", own_ms <= OWN_MS),
    )
}
