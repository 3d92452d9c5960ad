//! Concurrent commands of many callers, in one process.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use latchkey_dev::home::HomeOptions;
use serde_json::{Value, json};

use crate::command::direct;
use crate::error::Error;
use crate::figures::{Figure, Sample};
use crate::network::Network;
use crate::part::Part;
use crate::runtime_api::Answer;
use crate::sandbox::Sandbox;
use crate::surroundings::Surroundings;
use crate::wire::Wire;

pub(super) const WHAT: &str = "each caller must get the reply to its own command; the floor of the times is a raw \
    WebSocket with the same number of commands in flight; the floor of the throughput is that socket and a bare \
    function with as many invocations, one after the other";

/// The least share of the floor's throughput.
const LEAST_SHARE: f64 = 0.7;

/// The default number of commands.
pub(super) const DEFAULT_COMMANDS: usize = 100_000;

const CALLERS: usize = 64;

pub(super) async fn measure(
    surroundings: &Surroundings,
    commands: usize,
) -> Result<Vec<Figure>, Error> {
    let home = surroundings
        .home(Network::NEAR, HomeOptions::default())
        .await?;
    let mut wire = Wire::open(&home).await?;
    let raw_commands = (commands / 10).max(CALLERS);
    let (raw_times, raw_total) = wire.flood(&echo(0), raw_commands, CALLERS).await?;
    let raw_times = Sample::from(raw_times);

    // Metrics go to standard output: with concurrent invocations, no idle time remains to send them to CloudWatch.
    let program = surroundings
        .latchkey(&home)
        .env("METRICS", "emf")
        .concurrency(CALLERS);
    let mut latchkey = Sandbox::start(&program).await?;
    latchkey.command(&direct(&echo(0)), true).await?;
    let connections = home.traffic().connections;
    let crossed = Cell::new(0_usize);
    let (times, total) = flood(&mut latchkey, commands, |answer, number| {
        if payload_of(answer)? != number {
            crossed.set(crossed.get() + 1);
        }
        Ok(())
    })
    .await?;
    let memory = latchkey.memory()?;
    let connections = home.traffic().connections - connections;
    latchkey.end().await;

    let mut bare = Sandbox::start(&surroundings.bare().concurrency(CALLERS)).await?;
    bare.invoke(&direct(&echo(0))).await?;
    let (bare_times, bare_total) = flood(&mut bare, commands, |_, _| Ok(())).await?;
    bare.end().await;

    let received = home.counters().commands.get("latchkey_dev/echo").copied();
    let sent = u64::try_from(commands + raw_times.len() + 1).unwrap_or(u64::MAX);
    if received != Some(sent) {
        return Err(Error::Wrong(format!(
            "{received:?} of {sent} commands reached the home"
        )));
    }
    let a_second = |count: usize, time: Duration| (count as f64 / time.as_secs_f64()).round();
    let reached = a_second(commands, total);
    let raw = a_second(raw_times.len(), raw_total);
    let bare = a_second(bare_times.len(), bare_total);
    let floor = 1.0 / (1.0 / bare + 1.0 / raw);
    let share = reached / floor;
    let crossed = crossed.get();
    let name = Part::Concurrent64.name();
    let figure = Figure::timed(name, Network::NEAR, &times, raw_times.p50_ms())
        .with_number("floor_p99_ms", raw_times.p99_ms())
        .with_number("commands_per_second", reached)
        .with_number("raw_commands_per_second", raw)
        .with_number("bare_invocations_per_second", bare)
        .with_number("floor_commands_per_second", floor.round())
        .with_number("share_of_floor", share)
        .with("crossed_replies", crossed)
        .with("new_home_connections", connections)
        .with("peak_rss_kib", memory.peak_kib)
        .bound(
            "no crossed reply, at least 70 % of the floor's throughput",
            crossed == 0 && share >= LEAST_SHARE,
        );
    if crossed > 0 {
        figure.print();
        return Err(Error::Wrong(format!(
            "{crossed} replies went to the wrong caller"
        )));
    }
    Ok(vec![figure])
}

/// Invokes a function this number of times, from all callers. `check` gets each answer and the number of its
/// invocation. Returns the time of each invocation and the total time.
async fn flood(
    sandbox: &mut Sandbox,
    total: usize,
    check: impl Fn(&Answer, usize) -> Result<(), Error>,
) -> Result<(Sample, Duration), Error> {
    let next = Cell::new(1_usize);
    let times = RefCell::new(Sample::default());
    let api = sandbox.api();
    let caller = || async {
        while next.get() <= total {
            let number = next.replace(next.get() + 1);
            let answer = api.invoke(direct(&echo(number))).await?;
            times.borrow_mut().push(answer.elapsed());
            check(&answer, number)?;
        }
        Ok::<_, Error>(())
    };
    let began = Instant::now();
    let callers = try_join_all((0..CALLERS).map(|_| caller()));
    sandbox.while_alive(callers).await??;
    Ok((times.into_inner(), began.elapsed()))
}

fn echo(number: usize) -> Value {
    json!({"type": "latchkey_dev/echo", "payload": number})
}

fn payload_of(answer: &Answer) -> Result<usize, Error> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let payload = body["results"][0]["result"].as_u64();
    payload
        .and_then(|payload| usize::try_from(payload).ok())
        .ok_or_else(|| Error::WrongAnswer {
            answered: body.to_string(),
            output: String::new(),
        })
}
