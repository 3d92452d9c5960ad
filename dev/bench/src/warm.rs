//! A request over an open connection.

use std::time::Duration;

use latchkey_dev::home::HomeOptions;

use crate::error::Error;
use crate::figures::{self, Figure, Sample, ms};
use crate::floor::Floor;
use crate::network::Network;
use crate::request::Request;
use crate::sandbox::Sandbox;
use crate::surroundings::Surroundings;

pub(super) const WHAT: &str = "from the invocation to its response; the floor is the same request on an open \
    connection without latchkey (at R = 0, plus an invocation of the bare function)";

/// The raw connection, the bare function and latchkey alternate, so that other load on the machine affects all of them.
const TURNS: usize = 10;

/// Measures a request on each network. `name` is the name of the figures.
pub(super) async fn measure(
    surroundings: &Surroundings,
    name: &'static str,
    request: Request,
) -> Result<Vec<Figure>, Error> {
    figures::on_each_network(async |network| at(surroundings, name, request, network).await).await
}

fn requests_at(round_trip: Duration) -> usize {
    match round_trip.as_millis() {
        0 => 1_000,
        1..=20 => 200,
        _ => 100,
    }
}

async fn at(
    surroundings: &Surroundings,
    name: &'static str,
    request: Request,
    network: Network,
) -> Result<Figure, Error> {
    let home = surroundings.home(network, HomeOptions::default()).await?;
    let payload = surroundings.payload(request);
    let mut raw = Floor::open(&home, request).await?;
    let mut bare = Sandbox::start(&surroundings.bare()).await?;
    let program = surroundings.latchkey_for(&home, request);
    let mut latchkey = Sandbox::start(&program).await?;
    raw.ask().await?;
    bare.invoke(&payload).await?;
    latchkey.ask(request, &payload).await?;

    let before = home.executions();
    let a_turn = requests_at(network.round_trip) / TURNS;
    let mut raw_times = Sample::default();
    let mut bare_times = Sample::default();
    let mut times = Sample::default();
    for _ in 0..TURNS {
        for _ in 0..a_turn {
            raw_times.push(raw.ask().await?);
        }
        for _ in 0..a_turn {
            bare_times.push(bare.invoke(&payload).await?.elapsed());
        }
        for _ in 0..a_turn {
            times.push(latchkey.ask(request, &payload).await?.elapsed());
        }
    }
    let executed = home.executions() - before;
    let expected = request.executions() * (raw_times.len() + times.len());
    if executed != expected {
        return Err(Error::Wrong(format!(
            "{executed} executions of {expected} warm requests"
        )));
    }
    bare.end().await;
    latchkey.end().await;

    let raw_ms = raw_times.p50_ms();
    let (floor_ms, bound, held) = if network.round_trip.is_zero() {
        let floor_ms = bare_times.p50_ms() + raw_ms;
        let held = times.p50_ms() <= floor_ms + 0.2;
        (floor_ms, "p50 <= floor + 0.2 ms", held)
    } else {
        let held = times.p50_ms() <= 1.05 * raw_ms + 1.0 && times.p99_ms() <= 2.0 * raw_ms;
        (raw_ms, "p50 <= 1.05 x floor + 1 ms, p99 <= 2 x floor", held)
    };
    Ok(Figure::timed(name, network, &times, floor_ms)
        .with_number("raw_p50_ms", raw_ms)
        .with_number("raw_p99_ms", raw_times.p99_ms())
        .with_number("p99_by_raw_p99", times.p99_ms() / raw_times.p99_ms())
        .with_number("bare_p50_ms", bare_times.p50_ms())
        .with_number("bare_p99_ms", bare_times.p99_ms())
        .with_number(
            "beyond_round_trip_ms",
            times.p50_ms() - ms(network.round_trip),
        )
        .bound(bound, held))
}
