//! Metrics of a valid token, of a rejected token and of an unreachable home.

use std::time::Duration;

use latchkey_dev::stack::{AwsEmulator, Function, Metric};
use serde_json::json;
use testkit::{Stage, invoke, options, relay_to};
use tokio::net::TcpListener;

use crate::{BOOTSTRAP, revoke};

const NAMESPACE: &str = "LEE/HomeAssistant";
const WAIT_LIMIT: Duration = Duration::from_secs(20);

fn metric<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Metric> {
    metrics.iter().find(|metric| metric.name == name)
}

/// Returns the number of ones and the number of zeros of a metric.
fn ones_and_zeros(metrics: &[Metric], name: &str) -> (f64, f64) {
    metric(metrics, name).map_or((0.0, 0.0), |metric| {
        (metric.sum(), metric.samples() - metric.sum())
    })
}

/// Waits until `enough` accepts the numbers of ones and zeros of the metric `name`, and returns all metrics.
async fn wait_for_metric(
    aws: &AwsEmulator,
    name: &str,
    enough: impl Fn(f64, f64) -> bool,
) -> Vec<Metric> {
    let enough = |metrics: &[Metric]| {
        let (yes, no) = ones_and_zeros(metrics, name);
        enough(yes, no)
    };
    let metrics = aws
        .metrics_until(NAMESPACE, WAIT_LIMIT, enough)
        .await
        .unwrap();
    assert!(metrics.iter().all(|metric| metric.dimensions.is_empty()));
    metrics
}

#[tokio::test]
async fn metrics_distinguish_valid_rejected_and_unknown_tokens() {
    let Stage { home, aws, .. } = Stage::real().start().await;
    let keep_warm = json!({ "source": "keep-warm" });

    // This port was just released, so a connection to it is refused.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let unreachable = options(BOOTSTRAP, &aws, &nowhere).timeout(Duration::from_secs(3));
    let unreachable = Function::start(unreachable).await.unwrap();
    let warm = invoke(&unreachable, &keep_warm).await;
    assert_eq!(warm["token"]["valid"], json!(null), "{warm}");
    assert_eq!(testkit::problem(&warm["problem"]), "home-unreachable");
    let metrics = wait_for_metric(&aws, "TokenRefresh", |yes, no| (yes, no) == (1.0, 0.0)).await;
    let (reached, not_reached) = ones_and_zeros(&metrics, "HomeReachable");
    assert!(reached == 0.0 && not_reached >= 1.0, "{metrics:?}");
    assert_eq!(metric(&metrics, "TokenValid"), None);
    unreachable.stop().await;

    let relay = relay_to(home.url()).await;
    let url = format!("http://{}", relay.addr());
    let function = Function::start(options(BOOTSTRAP, &aws, &url)).await;
    let function = function.unwrap();
    assert_eq!(invoke(&function, &keep_warm).await["token"]["valid"], true);
    let metrics = wait_for_metric(&aws, "TokenValid", |yes, no| (yes, no) == (1.0, 0.0)).await;
    assert_eq!(ones_and_zeros(&metrics, "TokenRefresh"), (2.0, 0.0));
    let fetch = metric(&metrics, "TokenFetchLatency").unwrap();
    assert!(fetch.samples() == 2.0 && fetch.minimum() > 0.0, "{fetch:?}");

    // The only token is revoked. The rejection is measured as 0, and so is a second read of the same token. Each
    // further keep-warm event measures 0 without a request to the home, so that an alarm stays on.
    revoke(&home, &relay, home.token()).await;
    for _ in 0..3 {
        assert_eq!(invoke(&function, &keep_warm).await["token"]["valid"], false);
    }
    // The first delivery was less than a minute ago, so these metrics are delivered at shutdown.
    function.stop().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    let (valid, not_valid) = ones_and_zeros(&metrics, "TokenValid");
    assert!(valid == 1.0 && not_valid >= 3.0, "{metrics:?}");
    let (refreshed, not_refreshed) = ones_and_zeros(&metrics, "TokenRefresh");
    assert!(refreshed == 2.0 && not_refreshed >= 1.0, "{metrics:?}");
    assert_eq!(home.failed_logins().await.unwrap(), 1);
    aws.stop().await;
    home.stop().await;
}
