//! A command after a freeze during which the home closed the connection.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_dev::home::HomeOptions;
use serde_json::Value;

use crate::command::{direct, turn_on};
use crate::error::Error;
use crate::figures::{Figure, Sample, ms};
use crate::part::Part;
use crate::runtime_api::Answer;
use crate::sandbox::Sandbox;
use crate::surroundings::{DistantHome, ROUND_TRIPS, Surroundings};
use crate::wire::Wire;

pub(super) const WHAT: &str = "from the invocation, when the process resumes, to its response; the floor is the bare \
    function after a freeze plus a raw WebSocket that connects and runs one command";

const FUNCTIONS: usize = 10;
/// The heartbeat of the home, which closes a silent connection after one and a half heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The default duration of a freeze: long enough for the home to close the connection.
const FREEZE: Duration = Duration::from_secs(3);
/// One round trip to connect, one for the upgrade, and one for `auth` and the command together.
const RECONNECT_ROUND_TRIPS: f64 = 3.0;

/// A home and the functions that use it.
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
    // All functions are frozen at the same time, which takes no longer than one freeze.
    for scene in &scenes {
        scene.pause()?;
    }
    tokio::time::sleep(freeze).await;
    let mut figures: Vec<Figure> = Vec::new();
    for scene in scenes {
        let nearest = figures.first().and_then(|figure| figure.p50_ms);
        figures.push(scene.thaw(freeze, nearest).await?);
    }
    Ok(figures)
}

impl Scene {
    /// Starts a home, and functions with an open connection to it.
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

    /// Resumes the functions, invokes each once and returns the figure. `nearest_ms` is the median at the nearest
    /// home.
    async fn thaw(mut self, freeze: Duration, nearest_ms: Option<f64>) -> Result<Figure, Error> {
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
        // The additional time compared with the nearest home, in round trips.
        let round_trips = nearest_ms
            .filter(|_| !self.round_trip.is_zero())
            .map(|nearest| (times.p50_ms() - nearest) / ms(self.round_trip));
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

/// Returns the outcome of a command, or the name of the error.
fn outcome(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let result = &body["results"][0];
    let word = match result["success"].as_bool() {
        Some(true) => &result["outcome"],
        _ if result["outcome"] == "answered" => &result["error"]["code"],
        _ if result.is_object() => &result["outcome"],
        _ => &body["type"],
    };
    word.as_str().unwrap_or("invalid").to_owned()
}
