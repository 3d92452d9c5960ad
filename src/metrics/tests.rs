//! Recording, delivery, and what happens when delivery fails.

use super::*;
use crate::clock::ManualClock;

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Journal {
    delivered: Mutex<Vec<Datum>>,
    broken: std::sync::atomic::AtomicBool,
}

impl MetricSink for Arc<Journal> {
    fn deliver<'a>(&'a self, data: &'a [Datum]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(DeliveryError("down".into()));
            }
            self.delivered.lock().unwrap().extend_from_slice(data);
            Ok(())
        })
    }
}

fn recorder() -> (Arc<Journal>, Arc<ManualClock>, Metrics) {
    let journal = Arc::new(Journal::default());
    let clock = Arc::new(ManualClock::at(Duration::from_secs(5)));
    let metrics = Metrics::new(Some(Box::new(journal.clone())), clock.clone());
    (journal, clock, metrics)
}

#[tokio::test]
async fn a_flush_delivers_once_what_was_recorded_with_its_time() {
    let (journal, clock, metrics) = recorder();
    metrics.record(Metric::TokenValid(true));
    clock.advance(Duration::from_secs(1));
    metrics.record(Metric::TokenRefresh(false));
    metrics.record(Metric::TokenFetchLatency(Duration::from_micros(2_500)));
    metrics.flush(LIMIT).await;
    metrics.flush(LIMIT).await;
    let datum = |name, value, unit, at| Datum {
        name,
        value,
        unit,
        at: Duration::from_secs(at),
    };
    assert_eq!(
        *journal.delivered.lock().unwrap(),
        [
            datum("TokenValid", 1.0, Unit::Count, 5),
            datum("TokenRefresh", 0.0, Unit::Count, 6),
            datum("TokenFetchLatency", 2.5, Unit::Milliseconds, 6),
        ]
    );
}

#[tokio::test]
async fn nothing_is_lost_while_delivery_fails() {
    let (journal, clock, metrics) = recorder();
    journal
        .broken
        .store(true, std::sync::atomic::Ordering::Relaxed);
    metrics.record(Metric::TokenValid(false));
    metrics.flush(LIMIT).await;
    clock.advance(Duration::from_secs(60));
    metrics.record(Metric::TokenValid(true));
    metrics.flush(LIMIT).await;
    journal
        .broken
        .store(false, std::sync::atomic::Ordering::Relaxed);
    metrics.flush(LIMIT).await;
    let values: Vec<f64> = journal
        .delivered
        .lock()
        .unwrap()
        .iter()
        .map(|datum| datum.value)
        .collect();
    assert_eq!(values, [0.0, 1.0]);
}

#[tokio::test]
async fn a_long_outage_keeps_the_newest() {
    let (journal, clock, metrics) = recorder();
    journal
        .broken
        .store(true, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..MAX_PENDING + 10 {
        clock.advance(Duration::from_secs(1));
        metrics.record(Metric::HomeReachable(false));
    }
    assert_eq!(metrics.pending.lock().unwrap().len(), MAX_PENDING);
    assert_eq!(
        metrics.pending.lock().unwrap()[0].at,
        Duration::from_secs(5 + 11)
    );
}

/// Delivers to nobody, for ever.
struct Silence;

impl MetricSink for Silence {
    fn deliver<'a>(&'a self, _: &'a [Datum]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_delivery_that_takes_too_long_is_given_up_and_nothing_is_lost() {
    let clock = Arc::new(ManualClock::at(Duration::from_secs(5)));
    let metrics = Metrics::new(Some(Box::new(Silence)), clock);
    metrics.record(Metric::TokenValid(true));
    metrics.flush(Duration::from_millis(1)).await;
    assert_eq!(metrics.pending.lock().unwrap().len(), 1);
}
