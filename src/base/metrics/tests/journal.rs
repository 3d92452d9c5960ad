//! A sink that a test controls, metrics in front of it, and a capture of the log.

use std::sync::{Mutex, MutexGuard};

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::*;

/// A sink that remembers its deliveries and that a test controls.
pub(super) struct Journal {
    clock: Arc<ManualClock>,
    interval: Duration,
    state: Mutex<JournalState>,
}

#[derive(Default)]
pub(super) struct JournalState {
    /// True if deliveries fail.
    pub(super) is_broken: bool,
    /// True if deliveries wait until a test releases them.
    pub(super) is_held: bool,
    pub(super) held: Vec<oneshot::Sender<bool>>,
    /// The start time of each delivery.
    pub(super) begun: Vec<Duration>,
    /// The sets that arrived, one list for each delivery.
    pub(super) arrived: Vec<Vec<StatisticSet>>,
}

impl Journal {
    pub(super) fn state(&self) -> MutexGuard<'_, JournalState> {
        self.state.lock().unwrap()
    }

    /// Ends the waiting deliveries with success or failure.
    pub(super) fn release(&self, is_delivered: bool) {
        for delivery in self.state().held.drain(..) {
            delivery.send(is_delivered).unwrap();
        }
    }

    /// Returns the totals of all sets that arrived, by name and home.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::new();
        for set in self.state().arrived.concat() {
            let key = (set.name, set.home.as_deref().map(str::to_owned));
            let (samples, sum) = totals.entry(key).or_default();
            *samples += set.samples;
            *sum += set.sum;
        }
        totals
    }
}

/// Count and sum, by name and home.
pub(super) type Totals = BTreeMap<(&'static str, Option<String>), (u64, f64)>;

impl MetricSink for Arc<Journal> {
    fn deliver<'a>(&'a self, sets: &'a [StatisticSet]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let held = {
                let mut state = self.state();
                state.begun.push(self.clock.now().unix);
                state.is_held.then(|| {
                    let (sender, receiver) = oneshot::channel();
                    state.held.push(sender);
                    receiver
                })
            };
            let is_delivered = match held {
                Some(receiver) => receiver.await.unwrap(),
                None => !self.state().is_broken,
            };
            if !is_delivered {
                return Err(DeliveryError("down".into()));
            }
            self.state().arrived.push(sets.to_vec());
            Ok(())
        })
    }

    fn least_interval(&self) -> Duration {
        self.interval
    }
}

pub(super) struct Fixture {
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) metrics: Arc<Metrics>,
}

impl Fixture {
    pub(super) fn with_interval(interval: Duration) -> Self {
        // The start of a minute, so that values belong to one minute until a test advances the clock by a minute.
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_700_000_040)));
        let journal = Arc::new(Journal {
            clock: clock.clone(),
            interval,
            state: Mutex::default(),
        });
        let metrics = Metrics::new(Some(Box::new(journal.clone())), clock.clone());
        Self {
            journal,
            clock,
            metrics: Arc::new(metrics),
        }
    }

    pub(super) fn new() -> Self {
        Self::with_interval(MINUTE)
    }

    pub(super) fn meter(&self, home: &str) -> Meter {
        Meter::new(self.metrics.clone(), Some(Arc::from(home)))
    }

    /// Returns the number of sets that wait for delivery.
    pub(super) fn pending(&self) -> usize {
        self.metrics.0.state.lock().pending.len()
    }
}

/// A capture of the log.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures the log of this thread until the guard is dropped.
    pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
