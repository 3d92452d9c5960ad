//! Metrics by `PutMetricData`.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDatum, StandardUnit};
use futures_util::future::BoxFuture;

use super::{Datum, DeliveryError, MetricSink, Unit};

/// CloudWatch takes at most this many data in one request.
const MAX_DATA_PER_REQUEST: usize = 1_000;

/// Delivers to a namespace of CloudWatch.
#[derive(Debug)]
pub struct CloudWatchSink {
    client: Client,
    namespace: String,
}

impl CloudWatchSink {
    /// A sink for `namespace`.
    pub fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }
}

impl MetricSink for CloudWatchSink {
    fn deliver<'a>(&'a self, data: &'a [Datum]) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            for part in data.chunks(MAX_DATA_PER_REQUEST) {
                self.client
                    .put_metric_data()
                    .namespace(&self.namespace)
                    .set_metric_data(Some(part.iter().map(datum).collect()))
                    .send()
                    .await
                    .map_err(|error| {
                        let code = error.code().map(str::to_owned);
                        DeliveryError(
                            code.unwrap_or_else(|| DisplayErrorContext(&error).to_string()),
                        )
                    })?;
            }
            Ok(())
        })
    }
}

fn datum(datum: &Datum) -> MetricDatum {
    MetricDatum::builder()
        .metric_name(datum.name)
        .value(datum.value)
        .unit(match datum.unit {
            Unit::Count => StandardUnit::Count,
            Unit::Milliseconds => StandardUnit::Milliseconds,
        })
        .timestamp(DateTime::from_secs_f64(datum.at.as_secs_f64()))
        .build()
}
