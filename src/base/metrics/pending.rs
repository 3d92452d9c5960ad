//! Values, added up by name, home and minute until they are delivered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::{Metric, Unit};

/// The most statistic sets kept while they cannot be delivered: as many as CloudWatch takes in one request.
pub(super) const MAX_PENDING: usize = 1_000;

const SECONDS_PER_MINUTE: u64 = 60;

/// The values of one metric within one minute, as CloudWatch takes them added up.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticSet {
    /// The metric's name.
    pub name: &'static str,
    /// The unit of the values.
    pub unit: Unit,
    /// The home they are of, which is the dimension `Home`; `None` for all homes together, which has no dimensions.
    pub home: Option<Arc<str>>,
    /// The start of the minute they were measured in, since the Unix epoch.
    pub minute: Duration,
    /// How many values there are.
    pub samples: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
}

impl StatisticSet {
    /// A set of one value, measured at `at` since the Unix epoch.
    pub(super) fn of(metric: Metric, home: Option<Arc<str>>, at: Duration) -> Self {
        let value = metric.value();
        let seconds = at.as_secs();
        Self {
            name: metric.name(),
            unit: metric.unit(),
            home,
            minute: Duration::from_secs(seconds - seconds % SECONDS_PER_MINUTE),
            samples: 1,
            sum: value,
            minimum: value,
            maximum: value,
        }
    }

    /// Adds the values of another set of the same metric, home and minute.
    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }
}

/// Ordered by minute, so that the oldest is the first.
type Key = (Duration, &'static str, Option<Arc<str>>);

/// What waits for delivery, bounded.
#[derive(Debug, Default)]
pub(super) struct Pending {
    sets: BTreeMap<Key, StatisticSet>,
    /// How many sets were thrown away since the last `take`.
    dropped: usize,
}

impl Pending {
    /// How many sets there are.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Adds a set to the one of its key. Once there are too many, the oldest goes.
    pub(super) fn add(&mut self, set: StatisticSet) {
        match self.sets.entry((set.minute, set.name, set.home.clone())) {
            Entry::Occupied(mut known) => known.get_mut().add(&set),
            Entry::Vacant(free) => {
                free.insert(set);
            }
        }
        if self.sets.len() > MAX_PENDING {
            self.sets.pop_first();
            self.dropped += 1;
        }
    }

    /// Takes everything out, oldest first, with how many sets had to be thrown away before.
    pub(super) fn take(&mut self) -> (Vec<StatisticSet>, usize) {
        let Self { sets, dropped } = std::mem::take(self);
        (sets.into_values().collect(), dropped)
    }
}
