//! One cell of the table of a failing source: an execution environment at a point of its token's life.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::ManualClock;
use latchkey_dev::relay::Relay;
use latchkey_dev::stack::{Metric, RealHome};
use serde_json::Value;
use testkit::{
    COMMAND, KEEP_WARM, Sandbox, Stage, impatient, parameter_change, problem, stopped_clock,
};

/// The TTL of the token.
///
/// A token is due for a refresh after 18 to 20 s and stale after 40 s. A socket is abandoned after 75 s.
pub(crate) const TTL_SECONDS: &str = "20";

const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// A point of a token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The token has not been read yet.
    Cold,
    /// Within the soft TTL.
    Fresh,
    /// Past the soft TTL.
    Soft,
    /// Past the hard TTL, with a live socket.
    HardLive,
    /// Past the hard TTL, with an abandoned socket.
    HardDead,
    /// Within the soft TTL. The home has revoked the token and closed the socket.
    Revoked,
}

/// The event that the environment handles at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Command,
    KeepWarm,
    Event,
}

impl Point {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "cold" => Self::Cold,
            "fresh" => Self::Fresh,
            "past soft" => Self::Soft,
            "past hard, live socket" => Self::HardLive,
            "past hard, dead socket" => Self::HardDead,
            "revoked" => Self::Revoked,
            other => panic!("{other}"),
        }
    }

    /// Returns the age of the token at this point.
    fn age(self) -> Duration {
        Duration::from_secs(match self {
            Self::Cold => 0,
            Self::Fresh | Self::Revoked => 5,
            Self::Soft => 21,
            Self::HardLive => 41,
            Self::HardDead => 100,
        })
    }
}

impl Act {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "command" => Self::Command,
            "keep-warm" => Self::KeepWarm,
            "event" => Self::Event,
            other => panic!("{other}"),
        }
    }
}

/// An execution environment with its own parameter and its own namespace of metrics.
pub(crate) struct Cell {
    pub(crate) point: Point,
    pub(crate) act: Act,
    pub(crate) parameter: String,
    namespace: String,
    pub(crate) sandbox: Sandbox,
    clock: Arc<ManualClock>,
}

impl Cell {
    /// Starts an execution environment and brings its token to `point`. AWS is called through `relay`.
    pub(crate) async fn start(
        world: &Stage<RealHome>,
        relay: &Relay,
        id: &str,
        point: Point,
        act: Act,
    ) -> Self {
        let parameter = format!("/latchkey/{id}");
        let namespace = format!("latchkey/{id}");
        let token = if point == Point::Revoked {
            world.home.mint_token(id).await.unwrap()
        } else {
            world.home.token().to_owned()
        };
        world.aws.put_token(&parameter, &token).await.unwrap();
        let clock = stopped_clock();
        let aws = impatient(&world.aws, &format!("http://{}", relay.addr()));
        let sandbox = Sandbox::builder().sdk(aws).clock(clock.clone()).patient();
        let sandbox = sandbox.envs([
            ("HA_URL", world.home.url()),
            ("HA_TOKEN_PARAMETER", &parameter),
            ("TOKEN_TTL_SECONDS", TTL_SECONDS),
            ("METRICS", "cloudwatch"),
            ("METRICS_NAMESPACE", &namespace),
        ]);
        let sandbox = sandbox.start().await;
        if point != Point::Cold {
            sandbox.command().await;
        }
        if point == Point::Revoked {
            world.home.revoke(&token).await.unwrap();
            sandbox.until_disconnected().await;
        }
        clock.advance(point.age());
        Self {
            point,
            act,
            parameter,
            namespace,
            sandbox,
            clock,
        }
    }

    /// Sends the event. Returns the outcome, followed by the problem if the answer has one.
    pub(crate) async fn handle_event(&self) -> String {
        let payload = match self.act {
            Act::Command => COMMAND.to_owned(),
            Act::KeepWarm => KEEP_WARM.to_owned(),
            Act::Event => parameter_change(&self.parameter),
        };
        let answer = self.sandbox.handle(&payload).await;
        self.sandbox.after_answer().await;
        match self.act {
            Act::Command => command_outcome(&answer),
            Act::KeepWarm | Act::Event => token_outcome(&answer),
        }
    }

    /// Returns the metrics since the environment reached its point: tokens presented over REST, uses of a stale token,
    /// successful reads and failed reads.
    pub(crate) async fn measured(&self, world: &Stage<RealHome>) -> String {
        // A delivery is possible once a minute.
        self.clock.advance(Duration::from_secs(60));
        self.sandbox.deliver_metrics().await;
        let metrics = world
            .aws
            .metrics_until(&self.namespace, WAIT_LIMIT, |metrics| !metrics.is_empty())
            .await
            .unwrap();
        let (sum, samples) = (
            |name| find_metric(&metrics, name).map_or(0.0, Metric::sum),
            |name| find_metric(&metrics, name).map_or(0.0, Metric::samples),
        );
        let warm = f64::from(u8::from(self.point != Point::Cold));
        let good = sum("TokenRefresh");
        format!(
            "p{} s{} r{}/{}",
            samples("HomeReachable") - warm,
            sum("TokenStale"),
            good - warm,
            samples("TokenRefresh") - good,
        )
    }
}

fn find_metric<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Metric> {
    metrics.iter().find(|metric| metric.name == name)
}

fn command_outcome(answer: &Value) -> String {
    if answer["results"][0]["success"] == true {
        return "ok".to_owned();
    }
    assert_eq!(answer["statusCode"], 503, "{answer}");
    problem(answer).to_owned()
}

fn token_outcome(answer: &Value) -> String {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let valid = &answer["token"]["valid"];
    match &answer["problem"] {
        Value::Null => valid.to_string(),
        told => format!("{valid} {}", problem(told)),
    }
}
