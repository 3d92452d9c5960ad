//! Delivery of metrics by `PutMetricData`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, MetricDatum, StandardUnit, StatisticSet as StatisticValues,
};
use futures_util::future::BoxFuture;
use once_cell::sync::OnceCell;

use super::pending::MAX_PENDING;
use super::{DeliveryError, MetricSink, StatisticSet, Unit};

/// The most data that CloudWatch accepts in one request.
const MAX_DATA_PER_REQUEST: usize = 1_000;

// One delivery is therefore one request.
const _: () = assert!(MAX_PENDING <= MAX_DATA_PER_REQUEST);

/// The interval between deliveries. CloudWatch aggregates data by the minute, and each request costs money.
const LEAST_INTERVAL: Duration = Duration::from_secs(60);

/// Delivers metrics to a CloudWatch namespace.
#[derive(Debug)]
pub struct CloudWatchSink {
    config: SdkConfig,
    /// Created at the first delivery, because its creation takes a part of INIT otherwise.
    client: OnceCell<Client>,
    namespace: String,
}

impl CloudWatchSink {
    /// Creates a sink for `namespace`. The timeouts of `config` limit the time of a delivery.
    pub fn new(config: SdkConfig, namespace: String) -> Self {
        Self {
            config,
            client: OnceCell::new(),
            namespace,
        }
    }
}

impl MetricSink for CloudWatchSink {
    fn deliver<'a>(&'a self, sets: &'a [StatisticSet]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let client = self.client.get_or_init(|| Client::new(&self.config));
            let request = client
                .put_metric_data()
                .namespace(&self.namespace)
                .set_metric_data(Some(sets.iter().map(datum).collect()));
            match request.send().await {
                Ok(_) => Ok(()),
                Err(error) => {
                    let code = error.code().map(str::to_owned);
                    let reason = code.unwrap_or_else(|| DisplayErrorContext(&error).to_string());
                    Err(DeliveryError(reason))
                }
            }
        })
    }

    fn least_interval(&self) -> Duration {
        LEAST_INTERVAL
    }
}

fn datum(set: &StatisticSet) -> MetricDatum {
    let home = set
        .home
        .as_deref()
        .map(|home| Dimension::builder().name("Home").value(home).build());
    let values = StatisticValues::builder()
        .sample_count(set.samples as f64)
        .sum(set.sum)
        .minimum(set.minimum)
        .maximum(set.maximum)
        .build();
    MetricDatum::builder()
        .metric_name(set.name)
        .set_dimensions(home.map(|home| vec![home]))
        .statistic_values(values)
        .unit(match set.unit {
            Unit::Count => StandardUnit::Count,
            Unit::Milliseconds => StandardUnit::Milliseconds,
            Unit::None => StandardUnit::None,
        })
        .timestamp(DateTime::from_secs_f64(set.minute.as_secs_f64()))
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn datum_has_statistics_dimension_minute_and_unit_of_its_set() {
        let set = StatisticSet {
            name: "CommandLatency",
            unit: Unit::Milliseconds,
            home: Some(Arc::from("cabin")),
            minute: Duration::from_secs(1_700_000_040),
            samples: 3,
            sum: 6.5,
            minimum: 0.5,
            maximum: 4.0,
        };
        let expected = MetricDatum::builder()
            .metric_name("CommandLatency")
            .dimensions(Dimension::builder().name("Home").value("cabin").build())
            .statistic_values(
                StatisticValues::builder()
                    .sample_count(3.0)
                    .sum(6.5)
                    .minimum(0.5)
                    .maximum(4.0)
                    .build(),
            )
            .unit(StandardUnit::Milliseconds)
            .timestamp(DateTime::from_secs(1_700_000_040));
        assert_eq!(datum(&set), expected.build());
        let all = StatisticSet { home: None, ..set };
        assert_eq!(datum(&all).dimensions(), []);
    }
}
