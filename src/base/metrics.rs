//! Metrics: values are added up in memory and delivered after the response.
//!
//! [`Metrics::record`] adds a value to the [`StatisticSet`] of its metric, home and minute. [`Metrics::flush`] passes
//! the sets to a [`MetricSink`] while no caller waits: after the response was posted and before Lambda freezes the
//! execution environment. It does so at most once per interval of the sink. The sets of a failed delivery are kept and
//! merged with later values.
//!
//! Each delivery runs in its own task. The caller of `flush` may stop waiting, or may be dropped, at any point. The
//! task owns the sets, and puts them back only if the sink reports a failure. latchkey itself therefore neither loses a
//! set nor delivers it twice. `PutMetricData` is not idempotent, though: if its response is lost, the request counts as
//! failed, and its values may be counted twice.

mod cloudwatch;
mod emf;
mod metric;
mod pending;

use std::sync::Arc;
use std::time::Duration;

pub use cloudwatch::CloudWatchSink;
pub use emf::EmfSink;
use futures_util::future::BoxFuture;
pub use metric::{Metric, Unit};
use pending::Pending;
pub use pending::StatisticSet;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::clock::{Clock, Timestamp};
use crate::base::lock::Lock;

/// A failed delivery of metrics, with its reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics were not delivered ({0})")]
pub struct DeliveryError(pub String);

/// A destination of metrics.
pub trait MetricSink: Send + Sync {
    /// Delivers all of `sets`. Returns an error if the delivery failed or if its outcome is unknown. An implementation
    /// must limit its own time, because callers do not cancel a delivery.
    fn deliver<'a>(&'a self, sets: &'a [StatisticSet]) -> BoxFuture<'a, Result<(), DeliveryError>>;

    /// Returns the minimum time between the starts of two deliveries. It does not apply at the end of the process.
    fn least_interval(&self) -> Duration;
}

/// Records and delivers metrics.
pub struct Metrics(Arc<Recorder>);

/// Records the metrics of one home, or metrics without a home.
#[derive(Clone)]
pub struct Meter {
    metrics: Arc<Metrics>,
    home: Option<Arc<str>>,
}

impl Meter {
    /// Creates a meter for `home`. Each value counts twice: once for all homes together, and once with the dimension
    /// `Home`. Without a home each value counts once, without dimensions.
    pub fn new(metrics: Arc<Metrics>, home: Option<Arc<str>>) -> Self {
        Self { metrics, home }
    }

    /// Records one value. Does no I/O.
    pub fn record(&self, metric: Metric) {
        self.metrics.0.record(metric, self.home.as_ref());
    }
}

impl Metrics {
    /// Creates a recorder that delivers to `sink`. Without a sink it records nothing.
    pub fn new(sink: Option<Box<dyn MetricSink>>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Recorder {
            clock,
            sink,
            state: Lock::default(),
            in_flight: watch::Sender::default(),
        }))
    }

    /// Records one value without a home. Does no I/O.
    pub fn record(&self, metric: Metric) {
        self.0.record(metric, None);
    }

    /// Delivers the recorded values, if the sink's interval has passed since the start of the last delivery. The
    /// outcome of the last delivery does not matter. Waits for the delivery for at most `limit`; after that the
    /// delivery continues in the background. Call it while no caller waits for a response.
    pub async fn flush(&self, limit: Duration) {
        // With a limit of zero Lambda would freeze the execution environment while the request is in flight.
        if limit.is_zero() {
            return;
        }
        let Some(delivery) = self.0.begin(false) else {
            return;
        };
        if tokio::time::timeout(limit, delivery).await.is_err() {
            tracing::info!(category = "metrics", "a delivery is still in flight");
        }
    }

    /// Delivers all recorded values, ignoring the sink's interval, and waits for deliveries in flight. Call it at the
    /// end of the process. It takes at most `limit`.
    pub async fn flush_at_shutdown(&self, limit: Duration) {
        let all = async {
            // A delivery in flight may hang, so the remaining sets do not wait for it. It may also fail and put its
            // sets back, so this runs twice.
            for _ in 0..2 {
                self.0.begin(true);
                self.0.idle().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(
                category = "metrics",
                "the process ends while a delivery is in flight"
            );
        }
    }
}

struct Recorder {
    clock: Arc<dyn Clock>,
    sink: Option<Box<dyn MetricSink>>,
    state: Lock<State>,
    /// The number of deliveries in flight.
    in_flight: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    pending: Pending,
    /// The time when the last delivery began.
    last: Option<Timestamp>,
}

impl Recorder {
    fn record(&self, metric: Metric, home: Option<&Arc<str>>) {
        // CloudWatch rejects a whole request if one of its values is not a finite number.
        if self.sink.is_none() || !metric.value().is_finite() {
            return;
        }
        let at = self.clock.now().unix;
        let mut state = self.state.lock();
        state.pending.add(StatisticSet::of(metric, None, at));
        if let Some(home) = home {
            let set = StatisticSet::of(metric, Some(home.clone()), at);
            state.pending.add(set);
        }
    }

    /// Starts a delivery of all sets and returns its task. Returns `None` if no set is recorded, or if the interval has
    /// not passed and `regardless` is false. No await lies between the removal of the sets and the start of the task
    /// that owns them.
    fn begin(self: &Arc<Self>, regardless: bool) -> Option<JoinHandle<()>> {
        let interval = self.sink.as_ref()?.least_interval();
        let (sets, dropped) = {
            let mut state = self.state.lock();
            let now = self.clock.now();
            let is_due = state.last.is_none_or(|last| now.since(last) >= interval);
            if state.pending.len() == 0 || !(is_due || regardless) {
                return None;
            }
            state.last = Some(now);
            state.pending.take()
        };
        if dropped > 0 {
            tracing::warn!(
                category = "metrics",
                sets = dropped,
                "too many metrics to keep: the oldest were dropped"
            );
        }
        self.in_flight.send_modify(|count| *count += 1);
        let recorder = self.clone();
        Some(tokio::spawn(async move { recorder.deliver(sets).await }))
    }

    async fn deliver(&self, sets: Vec<StatisticSet>) {
        if let Some(sink) = &self.sink
            && let Err(error) = sink.deliver(&sets).await
        {
            tracing::warn!(error = %error, category = "metrics", sets = sets.len(), "kept for the next delivery");
            let mut state = self.state.lock();
            for set in sets {
                state.pending.add(set);
            }
        }
        // The sets are back before the counter changes, so every task that waits for the counter finds them.
        self.in_flight.send_modify(|count| *count -= 1);
    }

    /// Waits until no delivery is in flight.
    async fn idle(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self
            .in_flight
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }
}

#[cfg(test)]
mod tests;
