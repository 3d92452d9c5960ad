//! A read of the cached token.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latchkey::base::ambient::Ambient;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::base::config::TokenFormat;
use latchkey::base::metrics::{Meter, Metrics};
use latchkey::base::random::Random;
use latchkey::home::source::VariableSource;
use latchkey::home::token::TokenService;
use latchkey_dev::home::HomeOptions;
use tokio::runtime::Builder;

use crate::error::Error;
use crate::figures::{Figure, Sample};
use crate::network::Network;
use crate::part::Part;
use crate::surroundings::Surroundings;

pub(super) const WHAT: &str =
    "the token service's cached read, in this process; the floor is one read of both clocks";

/// One read is too short to measure, so each time is that of a batch, divided by its size.
const BATCHES: u32 = 200;
const BATCH: u32 = 10_000;
const TASKS: u32 = 64;
const READS_OF_A_TASK: u32 = 20_000;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let home = surroundings
        .home(Network::NEAR, HomeOptions::default())
        .await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let service = Arc::new(TokenService::new(
        Box::new(VariableSource::new(home.token().into())),
        TokenFormat::Jwt,
        Duration::from_secs(300),
        Ambient {
            clock: Arc::clone(&clock),
            random: Random::seeded(1),
            meter: Meter::new(Arc::new(Metrics::new(None, Arc::clone(&clock))), None),
        },
    ));
    let no_token = |error| Error::Wrong(format!("no token: {error}"));
    service.current().await.map_err(no_token)?;

    let mut floor = Sample::default();
    let mut alone = Sample::default();
    for _ in 0..BATCHES {
        let started = Instant::now();
        for _ in 0..BATCH {
            black_box(clock.now());
        }
        floor.push(started.elapsed());
        let started = Instant::now();
        for _ in 0..BATCH {
            black_box(service.current().await).map_err(no_token)?;
        }
        alone.push(started.elapsed());
    }
    let contended = tokio::task::spawn_blocking(move || contended(&service))
        .await
        .map_err(|error| Error::Wrong(error.to_string()))??;

    let ns_of_one = |ms: f64| ms * 1_000_000.0 / f64::from(BATCH);
    let (alone_ns, floor_ns) = (ns_of_one(alone.p50_ms()), ns_of_one(floor.p50_ms()));
    let contended_ns = contended.as_secs_f64() * 1e9 / f64::from(TASKS * READS_OF_A_TASK);
    let name = Part::CacheHit.name();
    let mut figure = Figure::timed(name, Network::NEAR, &alone, floor.p50_ms());
    for ms in [
        &mut figure.p50_ms,
        &mut figure.p99_ms,
        &mut figure.floor_p50_ms,
    ] {
        *ms = ms.map(|ms| ms / f64::from(BATCH));
    }
    Ok(vec![
        figure
            .with_number("alone_ns", alone_ns)
            .with_number("floor_ns", floor_ns)
            .with_number("contended_by_64_ns", contended_ns)
            .bound("below 1 us", alone_ns < 1_000.0),
    ])
}

/// Returns the total time of the reads of many concurrent tasks, with one thread for each core.
fn contended(service: &Arc<TokenService>) -> Result<Duration, Error> {
    let failed = |source| Error::Io {
        what: "starting threads".to_owned(),
        source,
    };
    let runtime = Builder::new_multi_thread().build().map_err(failed)?;
    runtime.block_on(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let service = Arc::clone(service);
                tokio::spawn(async move {
                    for _ in 0..READS_OF_A_TASK {
                        black_box(service.current().await).ok();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await
                .map_err(|error| Error::Wrong(error.to_string()))?;
        }
        Ok(started.elapsed())
    })
}
