//! A command to a function that was frozen until its home hung up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::figures::{Figure, Sample, ms};
use super::runtime_api::Answer;
use super::sandbox::Sandbox;
use super::surroundings::{DistantHome, Surroundings};
use super::wire::Wire;
use super::{Error, Part, ROUND_TRIPS, direct, turn_on};
use crate::home::HomeOptions;

pub(super) const WHAT: &str = "from handing out the invocation, the moment the process goes on, to its response; the \
    floor is a bare runtime's after a freeze and a raw WebSocket from nothing to a command's answer";

const FUNCTIONS: usize = 10;
/// A home that hangs up half as long again after this silence...
const HEARTBEAT: Duration = Duration::from_secs(1);
/// ...has done so well within this time.
const FREEZE: Duration = Duration::from_secs(3);
/// Connecting, the upgrade, and `auth` and command together.
const RECONNECT_ROUND_TRIPS: f64 = 3.0;

/// A home and what runs in front of it.
struct Scene {
    round_trip: Duration,
    home: DistantHome,
    functions: Vec<Sandbox>,
    bare: Sandbox,
    raw: Sample,
    executed_before: usize,
}

pub(super) async fn measure(
    surroundings: &Surroundings,
    freeze: Option<Duration>,
) -> Result<Vec<Figure>, Error> {
    let options = match freeze {
        Some(_) => HomeOptions::default(),
        None => HomeOptions {
            heartbeat: HEARTBEAT,
            ..HomeOptions::default()
        },
    };
    let freeze = freeze.unwrap_or(FREEZE);
    let mut scenes = Vec::new();
    for round_trip in ROUND_TRIPS {
        scenes.push(Scene::set(surroundings, round_trip, options.clone()).await?);
    }
    // All are frozen at the same time: it lasts as long as one.
    for scene in &scenes {
        scene.pause()?;
    }
    tokio::time::sleep(freeze).await;
    let mut figures: Vec<Figure> = Vec::new();
    for scene in scenes {
        let at_home = figures.first().and_then(|figure| figure.p50_ms);
        figures.push(scene.thaw(freeze, at_home).await?);
    }
    Ok(figures)
}

impl Scene {
    async fn set(
        surroundings: &Surroundings,
        round_trip: Duration,
        options: HomeOptions,
    ) -> Result<Self, Error> {
        let home = surroundings.home(round_trip, options).await?;
        let payload = direct(&turn_on());
        let mut functions = Vec::new();
        let mut raw = Sample::default();
        for _ in 0..FUNCTIONS {
            raw.push(Wire::first_command(&home).await?);
            let program = surroundings.latchkey(&home).may_be_paused();
            let mut function = Sandbox::start(&program).await?;
            function.command(&payload, true).await?;
            function.idle().await?;
            functions.push(function);
        }
        let mut bare = Sandbox::start(&surroundings.bare().may_be_paused()).await?;
        bare.invoke(&payload).await?;
        bare.idle().await?;
        Ok(Self {
            executed_before: home.executions(),
            round_trip,
            home,
            functions,
            bare,
            raw,
        })
    }

    fn pause(&self) -> Result<(), Error> {
        self.bare.pause()?;
        self.functions.iter().try_for_each(Sandbox::pause)
    }

    async fn thaw(mut self, freeze: Duration, at_home_ms: Option<f64>) -> Result<Figure, Error> {
        let hung_up = FUNCTIONS as u64 - self.home.counters().open_sockets;
        let connections = self.home.traffic().connections;
        let payload = direct(&turn_on());
        let mut bare_times = Sample::default();
        let mut times = Sample::default();
        let mut outcomes = BTreeMap::<String, usize>::new();
        for function in &mut self.functions {
            self.bare.resume()?;
            bare_times.push(self.bare.invoke(&payload).await?.elapsed());
            self.bare.idle().await?;
            self.bare.pause()?;
            function.resume()?;
            let answer = function.invoke(&payload).await?;
            times.push(answer.elapsed());
            *outcomes.entry(outcome(&answer)).or_default() += 1;
            function.idle().await?;
        }
        let executed = self.home.executions() - self.executed_before;
        let connections = self.home.traffic().connections - connections;
        if executed > FUNCTIONS {
            return Err(Error::Wrong(format!(
                "{executed} executions of {FUNCTIONS} commands after a freeze"
            )));
        }
        for function in self.functions {
            function.end().await;
        }

        let floor_ms = bare_times.p50_ms() + self.raw.p50_ms();
        // What the distance adds, counted in round trips.
        let round_trips = at_home_ms
            .filter(|_| !self.round_trip.is_zero())
            .map(|at_home| (times.p50_ms() - at_home) / ms(self.round_trip));
        let all_answered = outcomes.get("answered") == Some(&FUNCTIONS);
        let held = all_answered
            && executed == FUNCTIONS
            && round_trips.is_none_or(|count| count <= RECONNECT_ROUND_TRIPS + 0.2);
        let outcomes: Value = outcomes
            .into_iter()
            .map(|(name, count)| (name, Value::from(count)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let name = Part::AfterFreezeCommand.name();
        let mut figure = Figure::timed(name, self.round_trip, &times, floor_ms)
            .with_number("freeze_s", freeze.as_secs_f64())
            .with("hung_up", hung_up)
            .with("outcomes", outcomes)
            .with("executions", executed)
            .with_number("raw_from_nothing_p50_ms", self.raw.p50_ms())
            .with_number("bare_p50_ms", bare_times.p50_ms())
            .with("home_connections", connections);
        if let Some(count) = round_trips {
            figure = figure.with_number("round_trips", count);
        }
        Ok(figure.bound("all answered, each executed once, <= 3 round trips", held))
    }
}

/// What a response says became of its command.
fn outcome(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let result = &body["results"][0];
    let word = match result["success"].as_bool() {
        Some(true) => &result["outcome"],
        _ if result["outcome"] == "answered" => &result["error"]["code"],
        _ if result.is_object() => &result["outcome"],
        _ => &body["type"],
    };
    word.as_str().unwrap_or("nonsense").to_owned()
}
