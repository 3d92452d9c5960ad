//! Where metrics go, and that nobody waits for them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use latchkey::base::clock::{Clock as _, ManualClock, SystemClock};
use latchkey::base::metrics::{CloudWatchSink, Meter, Metric as Measured, Metrics};
use latchkey_dev::stack::{AwsEmulator, Fault, Function, Metric};
use serde_json::{Value, json};
use testkit::{PARAMETER, Stage, invoke};

use crate::BOOTSTRAP;

const PUT: &str = "cloudwatch:PutMetricData";
const NAMESPACE: &str = "LEE/HomeAssistant";
const WITHIN: Duration = Duration::from_secs(30);

fn sum(metrics: &[Metric], name: &str) -> Option<f64> {
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    Some(metric.sum())
}

#[tokio::test]
async fn emf_prints_what_cloudwatch_reads_from_logs() {
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
async fn off_measures_nothing() {
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
async fn a_namespace_of_ones_own_is_used() {
    let stage = Stage::builder().start().await;
    let options = stage.options(BOOTSTRAP).env("METRICS_NAMESPACE", "My/Home");
    let function = Function::start(options).await.unwrap();
    invoke(&function, &json!({ "source": "keep-warm" })).await;
    let arrived = |metrics: &[Metric]| sum(metrics, "TokenValid") == Some(1.0);
    let metrics = stage
        .aws
        .metrics_until("My/Home", WITHIN, arrived)
        .await
        .unwrap();
    assert!(metrics.iter().all(|metric| metric.dimensions.is_empty()));
    assert!(stage.aws.metrics(NAMESPACE).await.unwrap().is_empty());
}

/// Another token, so that there is something new to tell.
async fn replace_token(stage: &Stage) {
    stage.revoke().await;
    let token = stage.home.mint_token("second");
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
}

/// What was measured of a token that was accepted, then rejected, and of its successor.
fn assert_both_tokens_told(metrics: &[Metric]) {
    assert_eq!(sum(metrics, "TokenRefresh"), Some(2.0), "{metrics:?}");
    assert_eq!(sum(metrics, "TokenValid"), Some(2.0), "{metrics:?}");
    let valid = metrics.iter().find(|metric| metric.name == "TokenValid");
    let valid = valid.unwrap();
    assert_eq!(valid.samples(), 3.0);
    assert_eq!((valid.minimum(), valid.maximum()), (0.0, 1.0));
}

#[tokio::test]
async fn one_delivery_a_minute_and_the_rest_when_the_sandbox_ends() {
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
    // The emulator ends it as Lambda does, by SIGTERM, and waits for it.
    let log = function.stop().await;
    assert_eq!(puts().await, 2, "{log}");
    assert_both_tokens_told(&stage.aws.metrics(NAMESPACE).await.unwrap());
}

/// As much as an outage of CloudWatch leaves behind, of all metrics there are.
#[tokio::test]
async fn a_long_outage_is_delivered_in_one_request_and_adds_up_with_what_follows() {
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
    let sink = CloudWatchSink::new(Client::new(aws.sdk_config()), NAMESPACE.into());
    let begin = SystemClock::new().now().unix - (MINUTES + 1) * MINUTE;
    let clock = Arc::new(ManualClock::at(begin));
    let metrics = Arc::new(Metrics::new(Some(Box::new(sink)), clock.clone()));
    let cabin = Meter::new(metrics.clone(), Some(Arc::from("cabin")));
    for _ in 0..MINUTES {
        clock.advance(MINUTE);
        all.iter().for_each(|metric| cabin.record(*metric));
    }
    metrics.flush(WITHIN).await;
    all.iter().for_each(|metric| metrics.record(*metric));
    metrics.flush_at_shutdown(WITHIN).await;

    assert_eq!(aws.calls_of(PUT).await.unwrap(), 2);
    let arrived = aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(arrived.len(), 2 * all.len());
    for metric in &arrived {
        let measured = all.iter().find(|measured| measured.name() == metric.name);
        let value = measured.unwrap().value();
        let home = metric.dimensions.get("Home").map(String::as_str);
        // What came last came without a home, into a minute that was there.
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

/// The function has answered while CloudWatch hangs, and what could not be delivered comes when CloudWatch is back.
#[tokio::test]
async fn nobody_waits_for_cloudwatch_and_nothing_is_lost() {
    const ANSWERED: &str = "INVOKE RTDONE(status: success";
    const KEPT: &str = "kept for the next time";
    let stage = Stage::builder().start().await;
    stage.aws.inject(&Fault::new(PUT, "hang")).await.unwrap();
    let function = stage.function(BOOTSTRAP).await;
    let first = function
        .invoke(&json!({ "source": "keep-warm" }))
        .await
        .unwrap();
    assert_eq!(first.json()["token"]["valid"], true, "{}", first.text());
    assert!(first.answered_in.is_some(), "{}", function.logs());
    // The emulator keeps the answer back until the extension has given up on CloudWatch, so its own account must tell:
    // the function had answered before that.
    function.wait_for_log(KEPT, WITHIN).await.unwrap();
    let log = function.logs();
    assert!(
        log.find(ANSWERED).unwrap() < log.find(KEPT).unwrap(),
        "{log}"
    );
    assert!(stage.aws.metrics(NAMESPACE).await.unwrap().is_empty());
    let tried = stage.aws.calls_of(PUT).await.unwrap();
    assert!(tried >= 1);

    // A failed delivery is one in its minute, too.
    replace_token(&stage).await;
    let second = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(second["token"]["refreshed"], true, "{second}");
    assert_eq!(stage.aws.calls_of(PUT).await.unwrap(), tried);
    stage.aws.clear_faults().await.unwrap();
    function.stop().await;
    assert_both_tokens_told(&stage.aws.metrics(NAMESPACE).await.unwrap());
}

/// Lambda's limit on an invocation holds for what comes after the answer as well: whoever exceeds it loses the sandbox.
#[tokio::test]
async fn cloudwatch_never_costs_the_sandbox() {
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
