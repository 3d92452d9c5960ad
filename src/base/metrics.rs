//! Metrics: added up in memory at no cost to the caller, delivered after the answer.
//!
//! [`Metrics::record`] adds a value to the [`StatisticSet`] of its metric, home and minute. [`Metrics::flush`] hands
//! the sets to a [`MetricSink`] when nobody waits: after the response was posted, before the sandbox freezes, and no
//! more often than the sink likes. What could not be delivered is kept and added up with what comes.
//!
//! A delivery is a task of its own. Whoever waits for it may stop waiting, or be dropped, at any point: the sets
//! belong to the task, which puts them back if and only if the sink says that it failed. So latchkey itself neither
//! loses a set nor delivers it twice. `PutMetricData` cannot be repeated without effect, though: a request whose
//! answer is lost on the way counts as failed, and its values may be counted twice.

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

/// Why metrics could not be delivered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics were not delivered ({0})")]
pub struct DeliveryError(pub String);

/// A way out for metrics.
pub trait MetricSink: Send + Sync {
    /// Delivers all of `sets`, or reports that none can be relied on to have arrived. Must end by itself: nobody cuts
    /// it short.
    fn deliver<'a>(&'a self, sets: &'a [StatisticSet]) -> BoxFuture<'a, Result<(), DeliveryError>>;

    /// How long after one delivery began the next may, other than at the process's end.
    fn least_interval(&self) -> Duration;
}

/// Records metrics and delivers them.
pub struct Metrics(Arc<Recorder>);

/// Records metrics of one home, or of none in particular.
#[derive(Clone)]
pub struct Meter {
    metrics: Arc<Metrics>,
    home: Option<Arc<str>>,
}

impl Meter {
    /// A meter for `home`. Its values count twice: for all homes together, and with the dimension `Home`. Without one
    /// they count once, without dimensions.
    pub fn new(metrics: Arc<Metrics>, home: Option<Arc<str>>) -> Self {
        Self { metrics, home }
    }

    /// Records one value. Costs no I/O.
    pub fn record(&self, metric: Metric) {
        self.metrics.0.record(metric, self.home.as_ref());
    }
}

impl Metrics {
    /// A recorder in front of `sink`; with `None` nothing is recorded.
    pub fn new(sink: Option<Box<dyn MetricSink>>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Recorder {
            clock,
            sink,
            state: Lock::default(),
            under_way: watch::Sender::default(),
        }))
    }

    /// Records one value of no home in particular. Costs no I/O.
    pub fn record(&self, metric: Metric) {
        self.0.record(metric, None);
    }

    /// Delivers what was recorded, if the sink's interval has passed since the last delivery began, however that one
    /// ended. Waits for it within `limit`; after that it goes on without anyone waiting. To be called when nobody
    /// waits.
    pub async fn flush(&self, limit: Duration) {
        // Without any time, the sandbox would freeze while the request is on its way.
        if limit.is_zero() {
            return;
        }
        let Some(delivery) = self.0.begin(false) else {
            return;
        };
        if tokio::time::timeout(limit, delivery).await.is_err() {
            tracing::info!(category = "metrics", "delivery is still under way");
        }
    }

    /// Delivers all that was recorded, whenever the last delivery was, and waits for deliveries already under way. To
    /// be called when the process is about to end, in `limit`.
    pub async fn flush_at_shutdown(&self, limit: Duration) {
        let all = async {
            // What is under way may hang, so the rest does not wait for it. It may also fail and come back: hence once
            // more.
            for _ in 0..2 {
                self.0.begin(true);
                self.0.idle().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(
                category = "metrics",
                "the process ends while delivery is under way"
            );
        }
    }
}

struct Recorder {
    clock: Arc<dyn Clock>,
    sink: Option<Box<dyn MetricSink>>,
    state: Lock<State>,
    /// How many deliveries are under way.
    under_way: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    pending: Pending,
    /// When the last delivery began.
    last: Option<Timestamp>,
}

impl Recorder {
    fn record(&self, metric: Metric, home: Option<&Arc<str>>) {
        // CloudWatch would refuse all that is delivered with a value that is no number.
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

    /// Begins a delivery of everything, if there is anything and it is time, or `regardless` of the time. Nothing
    /// awaits between taking the sets out and handing them to the task that delivers them.
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
                "too many to keep: the oldest were dropped"
            );
        }
        self.under_way.send_modify(|count| *count += 1);
        let recorder = self.clone();
        Some(tokio::spawn(async move { recorder.deliver(sets).await }))
    }

    async fn deliver(&self, sets: Vec<StatisticSet>) {
        if let Some(sink) = &self.sink
            && let Err(error) = sink.deliver(&sets).await
        {
            tracing::warn!(error = %error, category = "metrics", sets = sets.len(), "kept for the next time");
            let mut state = self.state.lock();
            for set in sets {
                state.pending.add(set);
            }
        }
        // After the sets are back: whoever waits for this finds them.
        self.under_way.send_modify(|count| *count -= 1);
    }

    /// Waits until no delivery is under way.
    async fn idle(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self
            .under_way
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }
}

#[cfg(test)]
mod tests;
