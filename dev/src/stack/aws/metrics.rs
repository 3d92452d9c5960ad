//! Reads metrics from CloudWatch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};

use crate::stack::error::{Error, Result};

/// The time range of data points, before and after the current time.
const WINDOW: Duration = Duration::from_secs(3600);
const PERIOD_SECONDS: i32 = 60;

/// A metric and its data points.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// The metric's name.
    pub name: String,
    /// The values of the dimensions, by name.
    pub dimensions: BTreeMap<String, String>,
    /// One data point for each minute, oldest first.
    pub points: Vec<Point>,
}

/// One minute of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The minute's start, in seconds since 1970.
    pub timestamp_s: i64,
    /// The sum of the values.
    pub sum: f64,
    /// The number of values.
    pub samples: f64,
    /// The smallest value.
    pub minimum: f64,
    /// The largest value.
    pub maximum: f64,
}

impl Metric {
    /// Returns the sum of all values.
    pub fn sum(&self) -> f64 {
        self.points.iter().map(|point| point.sum).sum()
    }

    /// Returns the number of values.
    pub fn samples(&self) -> f64 {
        self.points.iter().map(|point| point.samples).sum()
    }

    /// Returns the smallest value, or infinity if there are no values.
    pub fn minimum(&self) -> f64 {
        self.points
            .iter()
            .map(|point| point.minimum)
            .fold(f64::INFINITY, f64::min)
    }

    /// Returns the largest value, or negative infinity if there are no values.
    pub fn maximum(&self) -> f64 {
        self.points
            .iter()
            .map(|point| point.maximum)
            .fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Returns all metrics in `namespace`.
pub(super) async fn read(client: &Client, namespace: &str) -> Result<Vec<Metric>> {
    let mut listed = client
        .list_metrics()
        .namespace(namespace)
        .into_paginator()
        .send();
    // The emulator lists a metric once for each value.
    let mut known = BTreeSet::new();
    while let Some(page) = listed.next().await {
        let page = page.map_err(|error| Error::aws("cloudwatch:ListMetrics", &error))?;
        for metric in page.metrics() {
            let dimensions: BTreeMap<_, _> = metric
                .dimensions()
                .iter()
                .filter_map(|dimension| {
                    Some((dimension.name()?.to_owned(), dimension.value()?.to_owned()))
                })
                .collect();
            known.insert((
                metric.metric_name().unwrap_or_default().to_owned(),
                dimensions,
            ));
        }
    }
    let mut metrics = Vec::with_capacity(known.len());
    for (name, dimensions) in known {
        let points = points(client, namespace, &name, &dimensions).await?;
        metrics.push(Metric {
            name,
            dimensions,
            points,
        });
    }
    Ok(metrics)
}

async fn points(
    client: &Client,
    namespace: &str,
    name: &str,
    dimensions: &BTreeMap<String, String>,
) -> Result<Vec<Point>> {
    let now = SystemTime::now();
    let dimensions = dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build())
        .collect::<Vec<_>>();
    let output = client
        .get_metric_statistics()
        .namespace(namespace)
        .metric_name(name)
        .set_dimensions(Some(dimensions))
        .start_time(DateTime::from(now - WINDOW))
        .end_time(DateTime::from(now + WINDOW))
        .period(PERIOD_SECONDS)
        .statistics(Statistic::Sum)
        .statistics(Statistic::SampleCount)
        .statistics(Statistic::Minimum)
        .statistics(Statistic::Maximum)
        .send()
        .await
        .map_err(|error| Error::aws("cloudwatch:GetMetricStatistics", &error))?;
    let mut points: Vec<_> = output
        .datapoints()
        .iter()
        .map(|point| Point {
            timestamp_s: point.timestamp().map_or(0, DateTime::secs),
            sum: point.sum().unwrap_or_default(),
            samples: point.sample_count().unwrap_or_default(),
            minimum: point.minimum().unwrap_or_default(),
            maximum: point.maximum().unwrap_or_default(),
        })
        .collect();
    points.sort_by_key(|point| point.timestamp_s);
    Ok(points)
}
