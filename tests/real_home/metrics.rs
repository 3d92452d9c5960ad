//! What CloudWatch hears of a good token, of a rejected one, and of a home that nobody can ask.

use std::time::Duration;

use latchkey_dev::stack::{AwsEmulator, Function, Metric};
use serde_json::json;
use testkit::{Stage, invoke, options, relay_to};
use tokio::net::TcpListener;

use crate::{BOOTSTRAP, revoke};

const NAMESPACE: &str = "LEE/HomeAssistant";
const WITHIN: Duration = Duration::from_secs(20);

fn metric<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Metric> {
    metrics.iter().find(|metric| metric.name == name)
}

/// How often the metric was 1 and how often 0.
fn yes_and_no(metrics: &[Metric], name: &str) -> (f64, f64) {
    metric(metrics, name).map_or((0.0, 0.0), |metric| {
        (metric.sum(), metric.samples() - metric.sum())
    })
}

/// Waits until `enough` is content with how often `name` was 1 and 0, and returns all metrics.
async fn arrived(aws: &AwsEmulator, name: &str, enough: impl Fn(f64, f64) -> bool) -> Vec<Metric> {
    let enough = |metrics: &[Metric]| {
        let (yes, no) = yes_and_no(metrics, name);
        enough(yes, no)
    };
    let metrics = aws.metrics_until(NAMESPACE, WITHIN, enough).await.unwrap();
    assert!(metrics.iter().all(|metric| metric.dimensions.is_empty()));
    metrics
}

#[tokio::test]
async fn metrics_tell_a_good_token_from_a_bad_one_and_from_an_unknown_one() {
    let Stage { home, aws, .. } = Stage::real().start().await;
    let keep_warm = json!({ "source": "keep-warm" });

    // A port that was free a moment ago: nobody answers there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let unreachable = options(BOOTSTRAP, &aws, &nowhere).timeout(Duration::from_secs(3));
    let unreachable = Function::start(unreachable).await.unwrap();
    let warm = invoke(&unreachable, &keep_warm).await;
    assert_eq!(warm["token"]["valid"], json!(null), "{warm}");
    assert_eq!(testkit::problem(&warm["problem"]), "home-unreachable");
    let metrics = arrived(&aws, "TokenRefresh", |yes, no| (yes, no) == (1.0, 0.0)).await;
    let (reached, not_reached) = yes_and_no(&metrics, "HomeReachable");
    assert!(reached == 0.0 && not_reached >= 1.0, "{metrics:?}");
    assert_eq!(metric(&metrics, "TokenValid"), None);
    unreachable.stop().await;

    let relay = relay_to(home.url()).await;
    let url = format!("http://{}", relay.addr());
    let function = Function::start(options(BOOTSTRAP, &aws, &url)).await;
    let function = function.unwrap();
    assert_eq!(invoke(&function, &keep_warm).await["token"]["valid"], true);
    let metrics = arrived(&aws, "TokenValid", |yes, no| (yes, no) == (1.0, 0.0)).await;
    assert_eq!(yes_and_no(&metrics, "TokenRefresh"), (2.0, 0.0));
    let fetch = metric(&metrics, "TokenFetchLatency").unwrap();
    assert!(fetch.samples() == 2.0 && fetch.minimum() > 0.0, "{fetch:?}");

    // The only token there is gets revoked: its rejection is a 0, and so is reading the same one again. Every
    // keep-warm event after it says so once more, without asking the home: an alarm must not fall silent.
    revoke(&home, &relay, home.token()).await;
    for _ in 0..3 {
        assert_eq!(invoke(&function, &keep_warm).await["token"]["valid"], false);
    }
    // The first delivery was less than a minute ago, so this is told at the sandbox's end.
    function.stop().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    let (valid, not_valid) = yes_and_no(&metrics, "TokenValid");
    assert!(valid == 1.0 && not_valid >= 3.0, "{metrics:?}");
    let (refreshed, not_refreshed) = yes_and_no(&metrics, "TokenRefresh");
    assert!(refreshed == 2.0 && not_refreshed >= 1.0, "{metrics:?}");
    assert_eq!(home.failed_logins().await.unwrap(), 1);
    aws.stop().await;
    home.stop().await;
}
