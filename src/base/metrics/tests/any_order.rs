//! A property test: values are recorded, and their deliveries start, stop, hang and fail in any order. Each value
//! arrives once.

use proptest::prelude::*;

use super::*;

const HOMES: [Option<&str>; 3] = [None, Some("cabin"), Some("flat")];

#[derive(Clone, Debug)]
enum Step {
    Record(Metric, usize),
    Advance(u32),
    Flush,
    /// A flush that is dropped after this many polls.
    DropFlush(usize),
    /// True: deliveries fail from now on. False: deliveries no longer fail.
    Break(bool),
    /// True: deliveries hang from now on, until they are released. False: deliveries no longer hang.
    Hold(bool),
    /// The deliveries that hang succeed or fail.
    Release(bool),
    /// The tasks of deliveries get time to run.
    Yield,
}

/// Generates metrics whose values are added up exactly in any order.
fn metric() -> impl Strategy<Value = Metric> {
    prop_oneof![
        any::<bool>().prop_map(Metric::TokenValid),
        (0..100_u32).prop_map(Metric::CommandOutcomeUnknown),
        (-400..400).prop_map(|quarters| Metric::TokenDaysToExpiry(f64::from(quarters) / 4.0)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (metric(), 0..HOMES.len()).prop_map(|(metric, home)| Step::Record(metric, home)),
        3 => (1..90_u32).prop_map(Step::Advance),
        3 => Just(Step::Flush),
        2 => (0..3_usize).prop_map(Step::DropFlush),
        1 => any::<bool>().prop_map(Step::Break),
        1 => any::<bool>().prop_map(Step::Hold),
        2 => any::<bool>().prop_map(Step::Release),
        2 => Just(Step::Yield),
    ]
}

async fn play(steps: Vec<Step>, last_release: bool) -> (Totals, Totals, Vec<Duration>) {
    let fixture = Fixture::new();
    let Fixture {
        journal,
        clock,
        metrics,
    } = &fixture;
    let meters = HOMES.map(|home| Meter::new(metrics.clone(), home.map(Arc::from)));
    let mut recorded = Totals::new();
    for step in steps {
        match step {
            Step::Record(metric, home) => {
                meters[home].record(metric);
                let of_home = HOMES[home].map(|home| Some(home.to_owned()));
                for home in std::iter::once(None).chain(of_home) {
                    let (samples, sum) = recorded.entry((metric.name(), home)).or_default();
                    *samples += 1;
                    *sum += metric.value();
                }
            }
            Step::Advance(seconds) => clock.advance(seconds * SECOND),
            Step::Flush => metrics.flush(BRIEFLY).await,
            Step::DropFlush(polls) => {
                let mut flush = Box::pin(metrics.flush(LIMIT));
                for _ in 0..polls {
                    if (&mut flush).now_or_never().is_some() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Step::Break(is_broken) => journal.state().is_broken = is_broken,
            Step::Hold(is_held) => journal.state().is_held = is_held,
            Step::Release(is_delivered) => journal.release(is_delivered),
            Step::Yield => tokio::task::yield_now().await,
        }
    }
    let begun = journal.state().begun.clone();
    // The process ends. CloudWatch works again, and old deliveries may still hang.
    {
        let mut state = journal.state();
        (state.is_broken, state.is_held) = (false, false);
    }
    let mut shutdown = Box::pin(metrics.flush_at_shutdown(LIMIT));
    let is_over = (&mut shutdown).now_or_never().is_some();
    journal.release(last_release);
    if !is_over {
        shutdown.await;
    }
    (recorded, journal.totals(), begun)
}

proptest! {
    #[test]
    fn every_value_arrives_once_and_deliveries_respect_the_interval(
        steps in prop::collection::vec(step(), 0..80),
        last_release: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let (recorded, arrived, begun) = runtime.block_on(play(steps, last_release));
        prop_assert_eq!(arrived, recorded);
        for (one, next) in zip(&begun, begun.iter().skip(1)) {
            prop_assert!(*next >= *one + MINUTE, "{begun:?}");
        }
    }
}
