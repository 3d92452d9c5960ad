//! A token that ends by its own word is told of in time, and never presented after its end.

use std::time::Duration;

use latchkey::base::clock::{Clock as _, SystemClock};
use latchkey_dev::stack::Metric;
use serde_json::{Value, json};
use testkit::{PARAMETER, Stage, invoke, problem};

use crate::BOOTSTRAP;

const NAMESPACE: &str = "LEE/HomeAssistant";
const WITHIN: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);

/// A function whose token ends so long from now, after one keep-warm: its answer, its metrics and its log.
async fn kept_warm(stage: &Stage, left: Duration) -> (Value, Vec<Metric>, String) {
    let end = (SystemClock::new().now().unix + left).as_secs();
    let token = stage.home.mint_expiring_token("expiring", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let function = stage.function(BOOTSTRAP).await;
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    let enough = |metrics: &[Metric]| metrics.iter().any(|it| it.name == "TokenDaysToExpiry");
    let metrics = stage.aws.metrics_until(NAMESPACE, WITHIN, enough).await;
    (warm, metrics.unwrap(), function.stop().await)
}

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let metric = metrics.iter().find(|metric| metric.name == name);
    metric.unwrap_or_else(|| panic!("no {name} in {metrics:?}"))
}

/// The log's lines about a token that ends soon.
fn warnings(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.to_string().contains("the token ends soon"))
        .collect()
}

#[tokio::test]
async fn the_days_that_are_left_are_measured_and_few_of_them_logged() {
    // Half a day more than whole ones, so that the time this takes does not show.
    let half = DAY / 2;
    for (left, is_soon) in [(DAY * 3 + half, true), (DAY * 30 + half, false)] {
        let stage = Stage::builder().start().await;
        let (warm, metrics, log) = kept_warm(&stage, left).await;
        assert_eq!(warm["token"]["valid"], true, "{warm}");
        let days = named(&metrics, "TokenDaysToExpiry");
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
async fn an_expired_token_is_never_presented() {
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
    let metrics = stage.aws.metrics_until(NAMESPACE, WITHIN, enough).await;
    let metrics = metrics.unwrap();
    let days = named(&metrics, "TokenDaysToExpiry");
    assert_eq!((days.minimum(), days.maximum()), (0.0, 0.0));
    assert_eq!(named(&metrics, "TokenValid").maximum(), 0.0);
    assert_eq!(named(&metrics, "TokenRefresh").maximum(), 0.0);
    assert!(stage.home.counters().tokens_presented.is_empty());
    function.stop().await;
}
