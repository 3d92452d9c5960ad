//! A command over an open connection.

use std::time::Duration;

use latchkey_dev::home::HomeOptions;

use crate::command::{direct, turn_on};
use crate::error::Error;
use crate::figures::{Figure, Sample, ms};
use crate::part::Part;
use crate::sandbox::Sandbox;
use crate::surroundings::{ROUND_TRIPS, Surroundings};
use crate::wire::Wire;

pub(super) const WHAT: &str = "from the invocation to its response; the floor is the round trip of an authenticated \
    raw WebSocket (at R = 0, plus an invocation of the bare function)";

/// The raw WebSocket, the bare function and latchkey alternate, so that other load on the machine affects all of them.
const TURNS: usize = 10;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for round_trip in ROUND_TRIPS {
        figures.push(at(surroundings, round_trip).await?);
    }
    Ok(figures)
}

fn commands_at(round_trip: Duration) -> usize {
    match round_trip.as_millis() {
        0 => 1_000,
        1..=20 => 200,
        _ => 100,
    }
}

async fn at(surroundings: &Surroundings, round_trip: Duration) -> Result<Figure, Error> {
    let home = surroundings
        .home(round_trip, HomeOptions::default())
        .await?;
    let command = turn_on();
    let payload = direct(&command);
    let mut wire = Wire::open(&home).await?;
    let mut bare = Sandbox::start(&surroundings.bare()).await?;
    let mut latchkey = Sandbox::start(&surroundings.latchkey(&home)).await?;
    wire.command(&command).await?;
    bare.invoke(&payload).await?;
    latchkey.command(&payload, true).await?;

    let before = home.executions();
    let a_turn = commands_at(round_trip) / TURNS;
    let mut raw_times = Sample::default();
    let mut bare_times = Sample::default();
    let mut times = Sample::default();
    for _ in 0..TURNS {
        for _ in 0..a_turn {
            raw_times.push(wire.command(&command).await?);
        }
        for _ in 0..a_turn {
            bare_times.push(bare.invoke(&payload).await?.elapsed());
        }
        for _ in 0..a_turn {
            times.push(latchkey.command(&payload, true).await?.elapsed());
        }
    }
    let executed = home.executions() - before;
    if executed != raw_times.len() + times.len() {
        return Err(Error::Wrong(format!(
            "{executed} executions of {} warm commands",
            raw_times.len() + times.len()
        )));
    }
    bare.end().await;
    latchkey.end().await;

    let raw_ms = raw_times.p50_ms();
    let (floor_ms, bound, held) = if round_trip.is_zero() {
        let floor_ms = bare_times.p50_ms() + raw_ms;
        let held = times.p50_ms() <= floor_ms + 0.2;
        (floor_ms, "p50 <= floor + 0.2 ms", held)
    } else {
        let held = times.p50_ms() <= 1.05 * raw_ms + 1.0 && times.p99_ms() <= 2.0 * raw_ms;
        (raw_ms, "p50 <= 1.05 x floor + 1 ms, p99 <= 2 x floor", held)
    };
    let name = Part::WarmCommand.name();
    Ok(Figure::timed(name, round_trip, &times, floor_ms)
        .with_number("raw_p50_ms", raw_ms)
        .with_number("raw_p99_ms", raw_times.p99_ms())
        .with_number("p99_by_raw_p99", times.p99_ms() / raw_times.p99_ms())
        .with_number("bare_p50_ms", bare_times.p50_ms())
        .with_number("bare_p99_ms", bare_times.p99_ms())
        .with_number("beyond_round_trip_ms", times.p50_ms() - ms(round_trip))
        .bound(bound, held))
}
