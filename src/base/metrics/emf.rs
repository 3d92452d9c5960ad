//! Metrics as log lines in Embedded Metric Format. CloudWatch turns these lines into metrics.

use std::io::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{DeliveryError, MetricSink, StatisticSet};

/// The most values of a metric that the format accepts in one line.
const MAX_VALUES_PER_LINE: usize = 100;

/// The name of the only dimension.
const HOME: &str = "Home";

/// Writes each set to standard output as one line, or as several lines if one line cannot hold all values of the set.
#[derive(Debug)]
pub struct EmfSink {
    namespace: String,
}

impl EmfSink {
    /// Creates a sink for `namespace`.
    pub fn new(namespace: String) -> Self {
        Self { namespace }
    }

    /// Returns the lines of all of `sets`.
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

/// Returns values with the count, minimum, maximum and sum of `set`.
///
/// The format does not support statistic sets. The values are therefore the minimum, the maximum, and the rest of the
/// sum in equal parts. Whole numbers are split into whole numbers, so their sum is exact. The sum of other numbers is
/// exact up to rounding.
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
    // The number of parts that are larger by one than the other parts.
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
        // Rounding must not move a part below the minimum or above the maximum.
        .chain(rest.map(|value| value.max(minimum).min(maximum)))
        .collect()
}

/// One line of the format: a directive that names the members, and the members.
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
    /// One list of dimensions, which may be empty.
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
