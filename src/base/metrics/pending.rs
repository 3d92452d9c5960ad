//! Recorded values, added up by name, home and minute until they are delivered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::{Metric, Unit};

/// The most statistic sets that are kept until delivery: as many as CloudWatch accepts in one request.
pub(super) const MAX_PENDING: usize = 1_000;

const SECONDS_PER_MINUTE: u64 = 60;

/// The aggregated values of one metric within one minute, in CloudWatch's form.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticSet {
    /// The metric's name.
    pub name: &'static str,
    /// The unit of the values.
    pub unit: Unit,
    /// The home of the values, which becomes the dimension `Home`. `None` means all homes together, without dimensions.
    pub home: Option<Arc<str>>,
    /// The start of the minute of the measurement, as time since the Unix epoch.
    pub minute: Duration,
    /// The number of values.
    pub samples: u64,
    /// The sum of the values.
    pub sum: f64,
    /// The smallest value.
    pub minimum: f64,
    /// The largest value.
    pub maximum: f64,
}

impl StatisticSet {
    /// Creates a set of one value, measured at `at` since the Unix epoch.
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

/// The key of a set. It begins with the minute, so the oldest set is the first.
type Key = (Duration, &'static str, Option<Arc<str>>);

/// The sets that wait for delivery, at most `MAX_PENDING`.
#[derive(Debug, Default)]
pub(super) struct Pending {
    sets: BTreeMap<Key, StatisticSet>,
    /// The number of sets that were dropped since the last `take`.
    dropped: usize,
}

impl Pending {
    /// Returns the number of sets.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Merges a set into the set with the same key. Drops the oldest set if there are too many.
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

    /// Removes and returns all sets, oldest first, with the number of sets that were dropped before.
    pub(super) fn take(&mut self) -> (Vec<StatisticSet>, usize) {
        let Self { sets, dropped } = std::mem::take(self);
        (sets.into_values().collect(), dropped)
    }
}
