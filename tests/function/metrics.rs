//! Delivery of metrics to CloudWatch and to the log. Callers do not wait for the delivery.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock as _, ManualClock, SystemClock};
use latchkey::base::metrics::{CloudWatchSink, Meter, Metric as Measured, Metrics};
use latchkey_dev::stack::{AwsEmulator, Fault, Function, Metric};
use serde_json::{Value, json};
use testkit::{PARAMETER, Stage, invoke};

use crate::BOOTSTRAP;

const PUT: &str = "cloudwatch:PutMetricData";
const NAMESPACE: &str = "LEE/HomeAssistant";
const WAIT_LIMIT: Duration = Duration::from_secs(30);

fn sum(metrics: &[Metric], name: &str) -> Option<f64> {
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    Some(metric.sum())
}

#[tokio::test]
async fn emf_prints_metrics_in_cloudwatch_log_format() {
    let stage = Stage::builder().start().await;
    let options = stage
        .options(BOOTSTRAP)
        .env("METRICS", "emf")
        .env("METRICS_NAMESPACE", "My/Home");
    let function = Function::start(options).await.unwrap();
    let answer = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(answer["token"]["valid"], true);
    let log = function.stop().await;
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.get("_aws").is_some())
        .collect();
    for (name, unit) in [
        ("TokenValid", "Count"),
        ("TokenRefresh", "Count"),
        ("HomeReachable", "Count"),
        ("TokenFetchLatency", "Milliseconds"),
    ] {
        let of_name: Vec<&Value> = lines
            .iter()
            .filter(|line| line.get(name).is_some())
            .collect();
        let [line] = of_name[..] else {
            panic!("one line of {name} in {log}");
        };
        let expected = json!([{
            "Namespace": "My/Home",
            "Dimensions": [[]],
            "Metrics": [{ "Name": name, "Unit": unit }],
        }]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"], expected);
        let minute = line["_aws"]["Timestamp"].as_u64().unwrap();
        assert!(minute > 1_700_000_000_000 && minute.is_multiple_of(60_000));
        if unit == "Count" {
            assert_eq!(line[name], json!([1.0]));
        }
    }
    assert_eq!(stage.aws.calls_of(PUT).await.unwrap(), 0);
}

#[tokio::test]
async fn metrics_off_disables_emf_and_cloudwatch() {
    let stage = Stage::builder().start().await;
    let function = Function::start(stage.options(BOOTSTRAP).env("METRICS", "off"))
        .await
        .unwrap();
    for _ in 0..2 {
        invoke(&function, &json!({ "source": "keep-warm" })).await;
    }
    let log = function.stop().await;
    assert_eq!(stage.aws.calls_of(PUT).await.unwrap(), 0);
    assert!(!log.contains("_aws"));
}

#[tokio::test]
async fn configured_namespace_replaces_the_default() {
    let stage = Stage::builder().start().await;
    let options = stage.options(BOOTSTRAP).env("METRICS_NAMESPACE", "My/Home");
    let function = Function::start(options).await.unwrap();
    invoke(&function, &json!({ "source": "keep-warm" })).await;
    let arrived = |metrics: &[Metric]| sum(metrics, "TokenValid") == Some(1.0);
    let metrics = stage
        .aws
        .metrics_until("My/Home", WAIT_LIMIT, arrived)
        .await
        .unwrap();
    assert!(metrics.iter().all(|metric| metric.dimensions.is_empty()));
    assert!(stage.aws.metrics(NAMESPACE).await.unwrap().is_empty());
}

/// Revokes the token and stores another one, which causes new metrics.
async fn replace_token(stage: &Stage) {
    stage.revoke().await;
    let token = stage.home.mint_token("second");
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
}

/// Asserts the metrics of a token that was accepted and then rejected, and of its successor.
fn assert_both_tokens_measured(metrics: &[Metric]) {
    assert_eq!(sum(metrics, "TokenRefresh"), Some(2.0), "{metrics:?}");
    assert_eq!(sum(metrics, "TokenValid"), Some(2.0), "{metrics:?}");
    let valid = metrics.iter().find(|metric| metric.name == "TokenValid");
    let valid = valid.unwrap();
    assert_eq!(valid.samples(), 3.0);
    assert_eq!((valid.minimum(), valid.maximum()), (0.0, 1.0));
}

#[tokio::test]
async fn metrics_are_delivered_once_a_minute_and_at_shutdown() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let puts = async || stage.aws.calls_of(PUT).await.unwrap();
    let first = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(first["token"]["valid"], true, "{first}");
    assert_eq!(puts().await, 1);
    replace_token(&stage).await;
    let second = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(second["token"]["refreshed"], true, "{second}");
    assert_eq!(puts().await, 1);
    let metrics = stage.aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(sum(&metrics, "TokenValid"), Some(1.0), "{metrics:?}");
    // The emulator ends the function with SIGTERM, as Lambda does, and waits for the exit.
    let log = function.stop().await;
    assert_eq!(puts().await, 2, "{log}");
    assert_both_tokens_measured(&stage.aws.metrics(NAMESPACE).await.unwrap());
}

/// The test records every metric in each minute of an outage of CloudWatch.
#[tokio::test]
async fn metrics_of_a_long_outage_are_delivered_in_one_request_and_add_up() {
    const MINUTES: u32 = 41;
    const MINUTE: Duration = Duration::from_secs(60);
    let latency = Duration::from_millis(8);
    let all = [
        Measured::TokenValid(true),
        Measured::TokenRefresh(true),
        Measured::TokenDaysToExpiry(0.5),
        Measured::TokenStale,
        Measured::TokenFetchLatency(latency),
        Measured::HomeReachable(false),
        Measured::SessionReused(true),
        Measured::CommandLatency(latency),
        Measured::CommandOutcomeUnknown(2),
        Measured::TenantViolation,
        Measured::RotationSucceeded,
        Measured::RotationFailed,
    ];
    let aws = AwsEmulator::start().await.unwrap();
    let sink = CloudWatchSink::new(aws.sdk_config().clone(), NAMESPACE.into());
    let begin = SystemClock::new().now().unix - (MINUTES + 1) * MINUTE;
    let clock = Arc::new(ManualClock::at(begin));
    let metrics = Arc::new(Metrics::new(Some(Box::new(sink)), clock.clone()));
    let cabin = Meter::new(metrics.clone(), Some(Arc::from("cabin")));
    for _ in 0..MINUTES {
        clock.advance(MINUTE);
        all.iter().for_each(|metric| cabin.record(*metric));
    }
    metrics.flush(WAIT_LIMIT).await;
    all.iter().for_each(|metric| metrics.record(*metric));
    metrics.flush_at_shutdown(WAIT_LIMIT).await;

    assert_eq!(aws.calls_of(PUT).await.unwrap(), 2);
    let arrived = aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(arrived.len(), 2 * all.len());
    for metric in &arrived {
        let measured = all.iter().find(|measured| measured.name() == metric.name);
        let value = measured.unwrap().value();
        let home = metric.dimensions.get("Home").map(String::as_str);
        // The last values were recorded without a home, in a minute that already had values.
        let samples = f64::from(match home {
            Some(home) => {
                assert_eq!(home, "cabin");
                MINUTES
            }
            None => MINUTES + 1,
        });
        assert_eq!(metric.points.len(), MINUTES as usize, "{metric:?}");
        assert_eq!(metric.samples(), samples, "{metric:?}");
        assert_eq!(metric.sum(), samples * value, "{metric:?}");
        assert_eq!((metric.minimum(), metric.maximum()), (value, value));
    }
    aws.stop().await;
}

/// The function answers while CloudWatch hangs. The metrics arrive after CloudWatch has recovered.
#[tokio::test]
async fn hanging_cloudwatch_does_not_delay_answers_or_lose_metrics() {
    const ANSWERED: &str = "INVOKE RTDONE(status: success";
    const KEPT: &str = "kept for the next delivery";
    let stage = Stage::builder().start().await;
    stage.aws.inject(&Fault::new(PUT, "hang")).await.unwrap();
    let function = stage.function(BOOTSTRAP).await;
    let first = function
        .invoke(&json!({ "source": "keep-warm" }))
        .await
        .unwrap();
    assert_eq!(first.json()["token"]["valid"], true, "{}", first.text());
    assert!(first.answered_in.is_some(), "{}", function.logs());
    // The emulator holds the answer back until the extension has abandoned the delivery. The log of the emulator shows
    // that the function answered earlier.
    function.wait_for_log(KEPT, WAIT_LIMIT).await.unwrap();
    let log = function.logs();
    assert!(
        log.find(ANSWERED).unwrap() < log.find(KEPT).unwrap(),
        "{log}"
    );
    assert!(stage.aws.metrics(NAMESPACE).await.unwrap().is_empty());
    let tried = stage.aws.calls_of(PUT).await.unwrap();
    assert!(tried >= 1);

    // A failed delivery counts as the one delivery of its minute.
    replace_token(&stage).await;
    let second = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(second["token"]["refreshed"], true, "{second}");
    assert_eq!(stage.aws.calls_of(PUT).await.unwrap(), tried);
    stage.aws.clear_faults().await.unwrap();
    function.stop().await;
    assert_both_tokens_measured(&stage.aws.metrics(NAMESPACE).await.unwrap());
}

/// The time limit of an invocation includes the work after the answer. Lambda ends an execution environment that
/// exceeds this limit.
#[tokio::test]
async fn hanging_cloudwatch_does_not_end_the_environment() {
    let stage = Stage::builder().start().await;
    stage.aws.inject(&Fault::new(PUT, "hang")).await.unwrap();
    let function = Function::start(stage.options(BOOTSTRAP).timeout(Duration::from_secs(3)))
        .await
        .unwrap();
    for _ in 0..2 {
        let invocation = function
            .invoke(&json!({ "source": "keep-warm" }))
            .await
            .unwrap();
        assert_eq!(
            invocation.json()["token"]["valid"],
            true,
            "{}",
            invocation.text()
        );
    }
    assert_eq!(stage.reads().await, 1);
    assert_eq!(stage.home.counters().auth_ok, 1);
}
