//! Metrics as Embedded Metric Format lines in the log, which CloudWatch turns into metrics.

use std::io::Write as _;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{Datum, DeliveryError, MetricSink};

/// Writes one line a datum to standard output.
#[derive(Debug)]
pub struct EmfSink {
    namespace: String,
}

impl EmfSink {
    /// A sink for `namespace`.
    pub fn new(namespace: String) -> Self {
        Self { namespace }
    }

    fn line(&self, datum: &Datum) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(&Line {
            aws: Metadata {
                timestamp: datum.at.as_millis(),
                metrics: [Directive {
                    namespace: &self.namespace,
                    dimensions: [[]],
                    metrics: [Definition {
                        name: datum.name,
                        unit: datum.unit.name(),
                    }],
                }],
            },
            value: std::iter::once((datum.name, datum.value)).collect(),
        })?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The format's own shape: a directive that names a member, and the member.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata<'a>,
    #[serde(flatten)]
    value: std::collections::BTreeMap<&'a str, f64>,
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
    /// One set of no dimensions.
    dimensions: [[&'a str; 0]; 1],
    metrics: [Definition<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'a> {
    name: &'a str,
    unit: &'a str,
}

impl MetricSink for EmfSink {
    fn deliver<'a>(&'a self, data: &'a [Datum]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        let write = || -> std::io::Result<()> {
            let mut out = std::io::stdout().lock();
            for datum in data {
                out.write_all(&self.line(datum)?)?;
            }
            out.flush()
        };
        Box::pin(std::future::ready(
            write().map_err(|error| DeliveryError(error.to_string())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Unit;

    #[test]
    fn a_line_has_the_shape_of_the_format() {
        let datum = Datum {
            name: "TokenValid",
            value: 1.0,
            unit: Unit::Count,
            at: std::time::Duration::from_millis(1_700_000_000_123),
        };
        let line = EmfSink::new("LEE/HomeAssistant".into())
            .line(&datum)
            .unwrap();
        let expected = serde_json::json!({
            "_aws": {
                "Timestamp": 1_700_000_000_123_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "LEE/HomeAssistant",
                    "Dimensions": [[]],
                    "Metrics": [{"Name": "TokenValid", "Unit": "Count"}],
                }],
            },
            "TokenValid": 1.0,
        });
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&line).unwrap(),
            expected
        );
        assert!(line.ends_with(b"\n"));
    }
}
