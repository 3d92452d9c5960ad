//! Calls to AWS and logins to the home, besides commands.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;
use latchkey::base::clock::{Clock as _, ManualClock};
use latchkey::base::config::Config;
use latchkey::composition;
use latchkey::doors::function::Function;
use latchkey_dev::home::HomeOptions;
use serde_json::{Value, json};

use crate::command::{direct, turn_on};
use crate::error::Error;
use crate::figures::Figure;
use crate::network::Network;
use crate::part::Part;
use crate::sandbox::Sandbox;
use crate::surroundings::Surroundings;

pub(super) const WHAT: &str = "calls to AWS during 1,000 invocations, and failed logins during a simulated day of \
    keep-warm events in which the token is revoked at noon";

const INVOCATIONS: u32 = 1_000;
const TABLE: &str = "latchkey-bench";
const PERIOD: Duration = Duration::from_secs(300);
const EVENTS_A_DAY: u32 = 288;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    surroundings.aws().create_table(TABLE).await?;
    Ok(vec![calls(surroundings).await?, day(surroundings).await?])
}

/// Counts calls to AWS during many invocations.
async fn calls(surroundings: &Surroundings) -> Result<Figure, Error> {
    let home = surroundings
        .home(Network::NEAR, HomeOptions::default())
        .await?;
    surroundings.aws().forget_calls().await?;
    let began = Instant::now();
    let program = surroundings.latchkey(&home).env("TABLE_NAME", TABLE);
    let mut latchkey = Sandbox::start(&program).await?;
    let command = direct(&turn_on());
    for _ in 0..INVOCATIONS {
        latchkey.command(&command, true).await?;
    }
    latchkey.idle().await?;
    let calls = surroundings.aws().calls().await?;
    let minutes = began.elapsed().as_secs() / 60 + 1;
    latchkey.end().await;
    let of = |service: &str| -> u64 {
        let calls = calls
            .iter()
            .filter(|(action, _)| action.starts_with(service));
        calls.map(|(_, count)| count).sum()
    };
    let (ssm, cloudwatch) = (of("ssm:"), of("cloudwatch:"));
    let figure = Figure {
        name: Part::Upkeep.name(),
        ..Figure::default()
    };
    Ok(figure
        .with("invocations", INVOCATIONS)
        .with("ssm_calls", ssm)
        .with("put_metric_data_calls", cloudwatch)
        .with("dynamodb_calls", of("dynamodb:"))
        .bound(
            "1 of SSM, 1 PutMetricData a minute",
            ssm == 1 && cloudwatch <= minutes,
        ))
}

/// Counts failed logins during a simulated day of keep-warm events.
async fn day(surroundings: &Surroundings) -> Result<Figure, Error> {
    let home = surroundings
        .home(Network::NEAR, HomeOptions::default())
        .await?;
    surroundings.aws().forget_calls().await?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| Error::Wrong(error.to_string()))?;
    let clock = Arc::new(ManualClock::at(now));
    let url = home.url();
    let config = Config::read(&[
        ("HA_URL", url.as_str()),
        ("METRICS", "off"),
        ("TABLE_NAME", TABLE),
    ])
    .map_err(|error| Error::Wrong(error.to_string()))?;
    let aws = surroundings.aws().sdk_config().clone().into();
    let app = composition::function(config, &aws, clock.clone(), 1).await;
    let app = Arc::new(app);
    for event in 0..EVENTS_A_DAY {
        let is_good = event < EVENTS_A_DAY / 2;
        if event == EVENTS_A_DAY / 2 {
            home.revoke(home.token());
        }
        let answer = keep_warm(&app, &clock).await?;
        if answer["token"]["valid"] != is_good {
            return Err(Error::Wrong(format!("event {event}: {answer}")));
        }
        clock.advance(PERIOD);
    }
    let failed = home.counters().failed_logins;
    let figure = Figure {
        name: Part::Upkeep.name(),
        ..Figure::default()
    };
    Ok(figure
        .with("keep_warm_events", EVENTS_A_DAY)
        .with("failed_logins", failed)
        .with("ssm_calls", surroundings.token_reads().await?)
        .bound("1 failed login", failed == 1))
}

async fn keep_warm(app: &Arc<Function>, clock: &ManualClock) -> Result<Value, Error> {
    let mut context = Context::default();
    let end = clock.now().after(Duration::from_secs(20));
    context.deadline = u64::try_from(end.unix.as_millis()).unwrap_or(u64::MAX);
    let deadline = context.deadline;
    let payload = json!({ "source": "keep-warm" }).to_string();
    let answer = serde_json::to_value(app.handle(&payload, context).await);
    app.app.after_answer(deadline).await;
    answer.map_err(|error| Error::Wrong(error.to_string()))
}
