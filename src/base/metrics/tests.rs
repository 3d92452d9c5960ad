//! Tests of aggregation and delivery. A delivery may fail or hang, and the caller that waits for it may be cancelled.

use std::iter::zip;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use journal::{Fixture, Log, Totals};

use super::pending::MAX_PENDING;
use super::*;
use crate::base::clock::ManualClock;

mod any_order;
mod journal;

const LIMIT: Duration = Duration::from_secs(5);
/// Long enough to start a delivery, and too short to wait for its end.
const BRIEFLY: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn set(name: &'static str, unit: Unit, minute: u64, values: &[f64]) -> StatisticSet {
    StatisticSet {
        name,
        unit,
        home: None,
        minute: Duration::from_secs(1_700_000_040 + 60 * minute),
        samples: values.len() as u64,
        sum: values.iter().sum(),
        minimum: values.iter().copied().reduce(f64::min).unwrap(),
        maximum: values.iter().copied().reduce(f64::max).unwrap(),
    }
}

#[tokio::test]
async fn values_are_added_up_by_name_and_minute() {
    let Fixture {
        journal,
        clock,
        metrics,
    } = Fixture::new();
    metrics.record(Metric::TokenValid(true));
    clock.advance(59 * SECOND);
    metrics.record(Metric::TokenValid(false));
    metrics.record(Metric::TokenValid(true));
    metrics.record(Metric::CommandLatency(Duration::from_micros(2_500)));
    clock.advance(SECOND);
    metrics.record(Metric::TokenValid(true));
    metrics.record(Metric::TokenDaysToExpiry(-0.5));
    metrics.flush(LIMIT).await;
    assert_eq!(
        journal.state().arrived,
        [[
            set("CommandLatency", Unit::Milliseconds, 0, &[2.5]),
            set("TokenValid", Unit::Count, 0, &[1.0, 0.0, 1.0]),
            set("TokenDaysToExpiry", Unit::None, 1, &[-0.5]),
            set("TokenValid", Unit::Count, 1, &[1.0]),
        ]]
    );
}

#[tokio::test]
async fn home_value_counts_for_the_home_and_for_all_homes() {
    let fixture = Fixture::new();
    fixture.meter("cabin").record(Metric::HomeReachable(true));
    fixture.meter("flat").record(Metric::HomeReachable(false));
    Meter::new(fixture.metrics.clone(), None).record(Metric::HomeReachable(true));
    fixture.metrics.flush(LIMIT).await;
    let of = |home: &str, value: f64| StatisticSet {
        home: Some(Arc::from(home)),
        ..set("HomeReachable", Unit::Count, 0, &[value])
    };
    assert_eq!(
        fixture.journal.state().arrived,
        [[
            set("HomeReachable", Unit::Count, 0, &[1.0, 0.0, 1.0]),
            of("cabin", 1.0),
            of("flat", 0.0),
        ]]
    );
}

#[tokio::test]
async fn non_finite_values_are_not_recorded() {
    let fixture = Fixture::new();
    for days in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        fixture.metrics.record(Metric::TokenDaysToExpiry(days));
    }
    assert_eq!(fixture.pending(), 0);
}

#[tokio::test]
async fn metrics_without_sink_keep_no_values() {
    let Fixture { clock, .. } = Fixture::new();
    let metrics = Metrics::new(None, clock);
    metrics.record(Metric::TokenStale);
    metrics.flush(LIMIT).await;
    metrics.flush_at_shutdown(LIMIT).await;
    assert_eq!(metrics.0.state.lock().pending.len(), 0);
}

#[tokio::test]
async fn busy_hour_makes_one_delivery_per_minute_and_loses_no_value() {
    let Fixture {
        journal,
        clock,
        metrics,
    } = Fixture::new();
    for _ in 0..3_600 {
        metrics.record(Metric::SessionReused(true));
        // Several responses at once cause several flushes at once.
        join_all((0..3).map(|_| metrics.flush(LIMIT))).await;
        clock.advance(SECOND);
    }
    assert_eq!(journal.state().begun.len(), 60);
    metrics.flush_at_shutdown(LIMIT).await;
    assert_eq!(
        journal.totals(),
        Totals::from([(("SessionReused", None), (3_600, 3_600.0))])
    );
}

#[tokio::test]
async fn sink_without_interval_receives_every_flush_at_once() {
    let Fixture {
        journal, metrics, ..
    } = Fixture::with_interval(Duration::ZERO);
    for _ in 0..3 {
        metrics.record(Metric::RotationSucceeded);
        metrics.flush(LIMIT).await;
        metrics.flush(LIMIT).await;
    }
    assert_eq!(journal.state().begun.len(), 3);
}

#[tokio::test]
async fn flush_with_zero_limit_starts_no_delivery() {
    let fixture = Fixture::new();
    fixture.metrics.record(Metric::TokenStale);
    fixture.metrics.flush(Duration::ZERO).await;
    fixture.metrics.0.idle().await;
    assert!(fixture.journal.state().begun.is_empty());
    assert_eq!(fixture.pending(), 1);
}

#[tokio::test]
async fn failed_sets_are_kept_merged_and_not_retried_within_the_minute() {
    let Fixture {
        journal,
        clock,
        metrics,
    } = Fixture::new();
    journal.state().is_broken = true;
    metrics.record(Metric::CommandOutcomeUnknown(3));
    metrics.flush(LIMIT).await;
    assert_eq!(journal.state().begun.len(), 1);
    journal.state().is_broken = false;
    clock.advance(59 * SECOND);
    metrics.record(Metric::CommandOutcomeUnknown(1));
    metrics.flush(LIMIT).await;
    assert_eq!(journal.state().begun.len(), 1);
    clock.advance(SECOND);
    metrics.record(Metric::CommandOutcomeUnknown(2));
    metrics.flush(LIMIT).await;
    assert_eq!(
        journal.state().arrived,
        [[
            set("CommandOutcomeUnknown", Unit::Count, 0, &[3.0, 1.0]),
            set("CommandOutcomeUnknown", Unit::Count, 1, &[2.0]),
        ]]
    );
}

#[tokio::test]
async fn shutdown_delivers_remaining_sets_before_the_interval_ends() {
    let Fixture {
        journal, metrics, ..
    } = Fixture::new();
    for _ in 0..2 {
        metrics.record(Metric::TokenRefresh(true));
        metrics.flush(LIMIT).await;
    }
    assert_eq!(journal.state().begun.len(), 1);
    metrics.flush_at_shutdown(LIMIT).await;
    assert_eq!(
        journal.totals(),
        Totals::from([(("TokenRefresh", None), (2, 2.0))])
    );
    metrics.flush_at_shutdown(LIMIT).await;
    assert_eq!(
        journal.state().begun.len(),
        2,
        "without sets there is no delivery"
    );
}

/// A new value does not wait for a delivery that hangs, and the shutdown waits for both deliveries. Every value arrives
/// once, whether the first delivery succeeds or fails.
#[tokio::test]
async fn shutdown_waits_for_a_delivery_in_flight() {
    for is_delivered in [true, false] {
        let Fixture {
            journal, metrics, ..
        } = Fixture::new();
        journal.state().is_held = true;
        metrics.record(Metric::TokenRefresh(false));
        metrics.flush(BRIEFLY).await;
        journal.state().is_held = false;
        metrics.record(Metric::TokenRefresh(true));
        let mut shutdown = Box::pin(metrics.flush_at_shutdown(LIMIT));
        assert!((&mut shutdown).now_or_never().is_none());
        while journal.state().begun.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert!((&mut shutdown).now_or_never().is_none());
        assert_eq!(journal.state().arrived.len(), 1);
        journal.release(is_delivered);
        shutdown.await;
        assert_eq!(
            journal.totals(),
            Totals::from([(("TokenRefresh", None), (2, 1.0))])
        );
        assert_eq!(
            journal.state().begun.len(),
            if is_delivered { 2 } else { 3 }
        );
    }
}

#[tokio::test]
async fn shutdown_stops_waiting_at_its_limit() {
    let fixture = Fixture::new();
    fixture.journal.state().is_held = true;
    fixture.metrics.record(Metric::TokenStale);
    fixture.metrics.flush_at_shutdown(BRIEFLY).await;
    assert_eq!(fixture.journal.state().held.len(), 1);
}

/// The caller of `flush` may be cancelled, or may have no time left.
#[tokio::test]
async fn dropped_flush_neither_loses_nor_repeats_a_value() {
    for is_delivered in [true, false] {
        let fixture = Fixture::new();
        let Fixture {
            journal, metrics, ..
        } = &fixture;
        journal.state().is_held = true;
        metrics.record(Metric::TokenRefresh(true));
        // Dropped before the first poll of the delivery.
        assert!(metrics.flush(LIMIT).now_or_never().is_none());
        assert_eq!(fixture.pending(), 0);
        while journal.state().held.is_empty() {
            tokio::task::yield_now().await;
        }
        journal.release(is_delivered);
        metrics.0.idle().await;
        assert_eq!(fixture.pending(), usize::from(!is_delivered));
        journal.state().is_held = false;
        metrics.flush_at_shutdown(LIMIT).await;
        assert_eq!(
            journal.totals(),
            Totals::from([(("TokenRefresh", None), (1, 1.0))])
        );
    }
}

#[tokio::test]
async fn too_many_sets_drop_the_oldest_and_log_once() {
    let log = Log::default();
    let _guard = log.listen();
    let fixture = Fixture::new();
    let Fixture {
        journal,
        clock,
        metrics,
    } = &fixture;
    journal.state().is_held = true;
    metrics.record(Metric::HomeReachable(false));
    metrics.flush(BRIEFLY).await;
    for _ in 0..MAX_PENDING + 9 {
        clock.advance(MINUTE);
        metrics.record(Metric::HomeReachable(true));
    }
    assert_eq!(fixture.pending(), MAX_PENDING);
    // The failed delivery returns its set. This set is the oldest, so it is dropped.
    journal.release(false);
    metrics.0.idle().await;
    assert_eq!(fixture.pending(), MAX_PENDING);
    assert!(!log.text().contains("dropped"));

    journal.state().is_held = false;
    for _ in 0..2 {
        metrics.flush(LIMIT).await;
        clock.advance(MINUTE);
        metrics.record(Metric::HomeReachable(true));
    }
    let state = journal.state();
    let minutes = state.arrived[0].iter().map(|set| set.minute.as_secs());
    for (minute, nth) in zip(minutes, 10..) {
        assert_eq!(minute, 1_700_000_040 + 60 * nth);
    }
    assert_eq!(state.arrived[0].len(), MAX_PENDING);
    assert_eq!(log.text().matches("dropped").count(), 1, "{}", log.text());
}
