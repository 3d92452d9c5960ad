//! Metrics as Embedded Metric Format lines in the log, which CloudWatch turns into metrics.

use std::io::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{DeliveryError, MetricSink, StatisticSet};

/// The format takes at most this many values of a metric in one line.
const MAX_VALUES_PER_LINE: usize = 100;

/// The name of the only dimension.
const HOME: &str = "Home";

/// Writes one line a set to standard output, or more if it has more values than the format takes in one.
#[derive(Debug)]
pub struct EmfSink {
    namespace: String,
}

impl EmfSink {
    /// A sink for `namespace`.
    pub fn new(namespace: String) -> Self {
        Self { namespace }
    }

    /// The lines of all of `sets`.
    fn lines(&self, sets: &[StatisticSet]) -> serde_json::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for set in sets {
            for values in values(set).chunks(MAX_VALUES_PER_LINE) {
                self.line(set, values, &mut lines)?;
            }
        }
        Ok(lines)
    }

    fn line(
        &self,
        set: &StatisticSet,
        values: &[f64],
        lines: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let mut members = Map::new();
        members.insert(set.name.to_owned(), values.into());
        if let Some(home) = &set.home {
            members.insert(HOME.to_owned(), (**home).into());
        }
        let line = Line {
            aws: Metadata {
                timestamp: set.minute.as_millis(),
                metrics: [Directive {
                    namespace: &self.namespace,
                    dimensions: [if set.home.is_some() { &[HOME] } else { &[] }],
                    metrics: [Definition {
                        name: set.name,
                        unit: set.unit.name(),
                    }],
                }],
            },
            members,
        };
        serde_json::to_writer(&mut *lines, &line)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// Values that have the count, minimum, maximum and sum of `set`, for the format has no statistic sets: the smallest,
/// the largest, and what is left of the sum in equal parts. Whole numbers are parted into whole numbers, so that their
/// sum is exact; that of others is to within rounding.
fn values(set: &StatisticSet) -> Vec<f64> {
    let (minimum, maximum) = (set.minimum, set.maximum);
    let rest = match set.samples {
        0 => return Vec::new(),
        1 => return vec![set.sum],
        samples => samples - 2,
    };
    let left = set.sum - minimum - maximum;
    let part = left / rest.max(1) as f64;
    let is_whole = [set.sum, minimum, maximum].map(f64::fract) == [0.0; 3];
    // How many parts are larger by one than the others.
    let (part, larger) = if is_whole {
        (part.floor(), left - part.floor() * rest as f64)
    } else {
        (part, 0.0)
    };
    let rest = (0..rest).map(|index| {
        if (index as f64) < larger {
            part + 1.0
        } else {
            part
        }
    });
    [minimum, maximum]
        .into_iter()
        // Rounding must not make one of them the smallest or the largest.
        .chain(rest.map(|value| value.max(minimum).min(maximum)))
        .collect()
}

/// The format's own shape: a directive that names members, and the members.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata<'a>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: u128,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: [Directive<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    /// One set of dimensions, which may be none.
    dimensions: [&'a [&'a str]; 1],
    metrics: [Definition<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'a> {
    name: &'a str,
    unit: &'a str,
}

impl MetricSink for EmfSink {
    fn deliver<'a>(&'a self, sets: &'a [StatisticSet]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        let write = || -> std::io::Result<()> {
            let lines = self.lines(sets)?;
            let mut out = std::io::stdout().lock();
            out.write_all(&lines)?;
            out.flush()
        };
        Box::pin(std::future::ready(
            write().map_err(|error| DeliveryError(error.to_string())),
        ))
    }

    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests;
