//! Metrics: recorded at no cost to the caller, delivered after the answer.
//!
//! [`Metrics::record`] appends to a list in memory. [`Metrics::flush`] hands the list to a [`MetricSink`] when nobody
//! waits: after the response was posted, before the sandbox freezes. What could not be delivered is kept for the next
//! flush, so a fault of CloudWatch loses nothing but the oldest data of a long outage.

mod cloudwatch;
mod emf;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use cloudwatch::CloudWatchSink;
pub use emf::EmfSink;
use futures_util::future::BoxFuture;

use crate::clock::Clock;

/// Something measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Whether the home accepted the token. Recorded only when the home said so, one way or the other.
    TokenValid(bool),
    /// Whether a read of the token from its source gave one that may be used.
    TokenRefresh(bool),
    /// Whether the home answered at all.
    HomeReachable(bool),
    /// How long the source took.
    TokenFetchLatency(Duration),
    /// How many commands of a batch were sent and not answered.
    CommandOutcomeUnknown(u32),
}

/// The unit of a datum, by CloudWatch's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, or 1 and 0 for yes and no.
    Count,
    /// Time.
    Milliseconds,
}

impl Unit {
    /// CloudWatch's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

impl Metric {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenValid(_) => "TokenValid",
            Self::TokenRefresh(_) => "TokenRefresh",
            Self::HomeReachable(_) => "HomeReachable",
            Self::TokenFetchLatency(_) => "TokenFetchLatency",
            Self::CommandOutcomeUnknown(_) => "CommandOutcomeUnknown",
        }
    }

    fn value(self) -> f64 {
        match self {
            Self::TokenValid(yes) | Self::TokenRefresh(yes) | Self::HomeReachable(yes) => {
                f64::from(u8::from(yes))
            }
            Self::TokenFetchLatency(duration) => duration.as_secs_f64() * 1_000.0,
            Self::CommandOutcomeUnknown(count) => f64::from(count),
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::TokenValid(_)
            | Self::TokenRefresh(_)
            | Self::HomeReachable(_)
            | Self::CommandOutcomeUnknown(_) => Unit::Count,
            Self::TokenFetchLatency(_) => Unit::Milliseconds,
        }
    }
}

/// One value of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Datum {
    /// The metric's name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The unit of the value.
    pub unit: Unit,
    /// When it was measured, since the Unix epoch.
    pub at: Duration,
}

/// Why data could not be delivered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics were not delivered ({0})")]
pub struct DeliveryError(pub String);

/// A way out for metrics.
pub trait MetricSink: Send + Sync {
    /// Delivers all of `data`, or reports that none can be relied on to have arrived.
    fn deliver<'a>(&'a self, data: &'a [Datum]) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// The most data kept while they cannot be delivered.
const MAX_PENDING: usize = 1_000;

/// Records metrics and flushes them.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    sink: Option<Box<dyn MetricSink>>,
    // A std mutex: nothing awaits while it is held.
    pending: Mutex<VecDeque<Datum>>,
    // Held while data are under way, so that a flush at the process's end does not overtake the one before.
    delivery: tokio::sync::Mutex<()>,
}

impl Metrics {
    /// A recorder in front of `sink`; with `None` nothing is recorded.
    pub fn new(sink: Option<Box<dyn MetricSink>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            sink,
            pending: Mutex::default(),
            delivery: tokio::sync::Mutex::default(),
        }
    }

    /// Records one value. Costs no I/O.
    pub fn record(&self, metric: Metric) {
        if self.sink.is_none() {
            return;
        }
        let datum = Datum {
            name: metric.name(),
            value: metric.value(),
            unit: metric.unit(),
            at: self.clock.now().unix,
        };
        let mut pending = lock(&self.pending);
        // The oldest go first once there is no room.
        if pending.len() == MAX_PENDING {
            pending.pop_front();
        }
        pending.push_back(datum);
    }

    /// Delivers what was recorded, within `limit`. To be called when nobody waits.
    pub async fn flush(&self, limit: Duration) {
        let Some(sink) = &self.sink else { return };
        let Ok(_delivery) = tokio::time::timeout(limit, self.delivery.lock()).await else {
            return;
        };
        let data: Vec<Datum> = lock(&self.pending).drain(..).collect();
        if data.is_empty() {
            return;
        }
        let delivered = tokio::time::timeout(limit, sink.deliver(&data)).await;
        let delivered = delivered.unwrap_or_else(|_| Err(DeliveryError("no time left".into())));
        if let Err(error) = delivered {
            tracing::warn!(error = %error, category = "metrics", data = data.len(), "kept for the next time");
            let mut pending = lock(&self.pending);
            let room = MAX_PENDING - pending.len();
            for datum in data.into_iter().rev().take(room) {
                pending.push_front(datum);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while the lock is held, and no state here can be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
