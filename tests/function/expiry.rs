//! Tokens with an expiry time. latchkey warns before a token expires and never presents an expired token.

use std::time::Duration;

use latchkey::base::clock::{Clock as _, SystemClock};
use latchkey_dev::stack::Metric;
use serde_json::{Value, json};
use testkit::{PARAMETER, Stage, invoke, problem};

use crate::BOOTSTRAP;

const NAMESPACE: &str = "LEE/HomeAssistant";
const WAIT_LIMIT: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);

/// Sends one keep-warm event to a function whose token expires after `left`. Returns the answer, the metrics and the
/// log.
async fn keep_warm_once(stage: &Stage, left: Duration) -> (Value, Vec<Metric>, String) {
    let end = (SystemClock::new().now().unix + left).as_secs();
    let token = stage.home.mint_expiring_token("expiring", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let function = stage.function(BOOTSTRAP).await;
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    let enough = |metrics: &[Metric]| metrics.iter().any(|it| it.name == "TokenDaysToExpiry");
    let metrics = stage.aws.metrics_until(NAMESPACE, WAIT_LIMIT, enough).await;
    (warm, metrics.unwrap(), function.stop().await)
}

fn find_metric<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let metric = metrics.iter().find(|metric| metric.name == name);
    metric.unwrap_or_else(|| panic!("no {name} in {metrics:?}"))
}

/// Returns the log lines that warn about an expiring token.
fn warnings(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.to_string().contains("the token expires soon"))
        .collect()
}

#[tokio::test]
async fn days_to_token_expiry_are_measured_and_soon_expiry_is_logged() {
    // Half a day on top of whole days absorbs the duration of the test.
    let half = DAY / 2;
    for (left, is_soon) in [(DAY * 3 + half, true), (DAY * 30 + half, false)] {
        let stage = Stage::builder().start().await;
        let (warm, metrics, log) = keep_warm_once(&stage, left).await;
        assert_eq!(warm["token"]["valid"], true, "{warm}");
        let days = find_metric(&metrics, "TokenDaysToExpiry");
        let whole = (left - half).as_secs_f64() / DAY.as_secs_f64();
        assert!(
            whole < days.minimum() && days.maximum() <= whole + 0.5,
            "{days:?}"
        );
        assert_eq!(days.samples(), 1.0, "once for each read");
        let warnings = warnings(&log);
        assert_eq!(!warnings.is_empty(), is_soon, "{log}");
        for warning in warnings {
            let text = warning.to_string();
            assert!(text.contains("\"hours_left\":83"), "{text}");
            assert!(text.to_lowercase().contains("warn"), "{text}");
        }
    }
}

#[tokio::test]
async fn expired_token_is_reported_and_never_presented() {
    let stage = Stage::builder().start().await;
    let end = SystemClock::new().now().unix.as_secs() - 60;
    let token = stage.home.mint_expiring_token("expired", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let function = stage.function(BOOTSTRAP).await;
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["token"]["valid"], false, "{warm}");
    assert_eq!(problem(&warm["problem"]), "token-expired", "{warm}");
    let refused = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
    assert_eq!(refused["statusCode"], 503, "{refused}");
    assert_eq!(problem(&refused), "token-expired");
    let enough = |metrics: &[Metric]| metrics.iter().any(|it| it.name == "TokenDaysToExpiry");
    let metrics = stage.aws.metrics_until(NAMESPACE, WAIT_LIMIT, enough).await;
    let metrics = metrics.unwrap();
    let days = find_metric(&metrics, "TokenDaysToExpiry");
    assert_eq!((days.minimum(), days.maximum()), (0.0, 0.0));
    assert_eq!(find_metric(&metrics, "TokenValid").maximum(), 0.0);
    assert_eq!(find_metric(&metrics, "TokenRefresh").maximum(), 0.0);
    assert!(stage.home.counters().tokens_presented.is_empty());
    function.stop().await;
}
