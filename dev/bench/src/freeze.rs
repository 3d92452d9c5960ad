//! A request after a freeze during which the home closed the WebSocket.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;
use latchkey_dev::home::HomeOptions;
use serde_json::Value;

use crate::error::Error;
use crate::figures::{Figure, Sample, ms};
use crate::floor::Floor;
use crate::network::Network;
use crate::request::Request;
use crate::runtime_api::Answer;
use crate::sandbox::Sandbox;
use crate::surroundings::{DistantHome, Surroundings};

pub(super) const WHAT: &str = "from the invocation, when the process resumes, to its response; the floor is the bare \
    function after a freeze plus a raw connection that is opened and carries one request";

const FUNCTIONS: usize = 10;
/// The heartbeat of the home, which closes a silent connection after one and a half heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The default duration of a freeze: long enough for the home to close the connection.
const FREEZE: Duration = Duration::from_secs(3);
/// The bound of latchkey's own time, in milliseconds.
const OWN_MS: f64 = 5.0;

/// The request after the freeze, and the state of the connections then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thaw {
    pub(super) request: Request,
    /// True if the network closes the HTTP connections during the freeze.
    pub(super) is_cut: bool,
}

impl Thaw {
    /// Returns the expected round trips, of which a new connection needs `to_connect`.
    ///
    /// A command needs a new connection, one round trip for the upgrade, and one for `auth` and the command together. A
    /// request on the kept HTTP connection needs one for the token check and one for itself.
    fn round_trips(self, to_connect: u32) -> u32 {
        match self.request {
            Request::Command => to_connect + 2,
            Request::Directive | Request::Write | Request::Read if self.is_cut => to_connect + 2,
            Request::Directive | Request::Write | Request::Read => 2,
        }
    }
}

/// A home and the functions that use it.
struct Scene {
    thaw: Thaw,
    payload: Bytes,
    network: Network,
    home: DistantHome,
    functions: Vec<Sandbox>,
    bare: Sandbox,
    raw: Sample,
    executed_before: usize,
}

/// Measures a request on each network. `name` is the name of the figures.
pub(super) async fn measure(
    surroundings: &Surroundings,
    name: &'static str,
    thaw: Thaw,
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
    for network in Network::ALL {
        scenes.push(Scene::set(surroundings, thaw, network, options.clone()).await?);
    }
    // All functions are frozen at the same time, which takes no longer than one freeze.
    for scene in &scenes {
        scene.pause()?;
    }
    if thaw.is_cut {
        for scene in &scenes {
            scene.home.cut();
        }
    }
    tokio::time::sleep(freeze).await;
    let mut figures: Vec<Figure> = Vec::new();
    for scene in scenes {
        figures.push(scene.thaw(name, freeze).await?);
    }
    Ok(figures)
}

impl Scene {
    /// Starts a home, and functions with an open connection to it.
    async fn set(
        surroundings: &Surroundings,
        thaw: Thaw,
        network: Network,
        options: HomeOptions,
    ) -> Result<Self, Error> {
        let home = surroundings.home(network, options).await?;
        let request = thaw.request;
        let payload = surroundings.payload(request);
        let mut functions = Vec::new();
        let mut raw = Sample::default();
        for _ in 0..FUNCTIONS {
            raw.push(Floor::from_nothing(&home, request).await?);
            let program = surroundings.latchkey_for(&home, request).may_be_paused();
            let mut function = Sandbox::start(&program).await?;
            function.ask(request, &payload).await?;
            function.idle().await?;
            functions.push(function);
        }
        let mut bare = Sandbox::start(&surroundings.bare().may_be_paused()).await?;
        bare.invoke(&payload).await?;
        bare.idle().await?;
        Ok(Self {
            thaw,
            executed_before: home.executions(),
            network,
            payload,
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

    /// Resumes the functions, invokes each once and returns the figure.
    async fn thaw(mut self, name: &'static str, freeze: Duration) -> Result<Figure, Error> {
        let request = self.thaw.request;
        let hung_up = FUNCTIONS as u64 - self.home.counters().open_sockets;
        let connections = self.home.traffic().connections;
        let payload = self.payload;
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
            *outcomes.entry(outcome(request, &answer)).or_default() += 1;
            function.idle().await?;
        }
        let executed = self.home.executions() - self.executed_before;
        let connections = self.home.traffic().connections - connections;
        let expected = request.executions() * FUNCTIONS;
        if executed > expected {
            return Err(Error::Wrong(format!(
                "{executed} executions of {FUNCTIONS} requests after a freeze"
            )));
        }
        for function in self.functions {
            function.end().await;
        }

        let floor_ms = bare_times.p50_ms() + self.raw.p50_ms();
        let round_trips = self.thaw.round_trips(self.network.round_trips_to_connect());
        let paper_ms = ms(round_trips * self.network.round_trip);
        let own_ms = times.p50_ms() - paper_ms;
        let all_answered = outcomes.get("answered") == Some(&FUNCTIONS);
        let held = all_answered && executed == expected && own_ms <= OWN_MS;
        let outcomes: Value = outcomes
            .into_iter()
            .map(|(name, count)| (name, Value::from(count)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let figure = Figure::timed(name, self.network, &times, floor_ms)
            .with_number("freeze_s", freeze.as_secs_f64())
            .with("hung_up", hung_up)
            .with("outcomes", outcomes)
            .with("executions", executed)
            .with_number("raw_from_nothing_p50_ms", self.raw.p50_ms())
            .with_number("bare_p50_ms", bare_times.p50_ms())
            .with_number("paper_ms", paper_ms)
            .with_number("own_ms", own_ms)
            .with("home_connections", connections);
        let bound = format!("all answered, none executed twice, p50 <= {round_trips} R + 5 ms");
        Ok(figure.bound(bound, held))
    }
}

/// Returns the outcome of a request, or the name of the error.
fn outcome(request: Request, answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if request.is_done(&body) {
        return "answered".to_owned();
    }
    let result = &body["results"][0];
    let word = match result["success"].as_bool() {
        _ if result["outcome"] == "answered" => &result["error"]["code"],
        _ if result.is_object() => &result["outcome"],
        _ if body.get("statusCode").is_some() => &body["body"],
        _ => &body["type"],
    };
    word.as_str().unwrap_or("invalid").to_owned()
}
