//! Where metrics go, and that nobody waits for them.

use std::time::Duration;

use latchkey_dev::stack::{Fault, Function, Metric};
use serde_json::{Value, json};

use crate::Stage;
use crate::lambda::{PARAMETER, invoke};

const PUT: &str = "cloudwatch:PutMetricData";
const NAMESPACE: &str = "LEE/HomeAssistant";
const WITHIN: Duration = Duration::from_secs(30);

fn sum(metrics: &[Metric], name: &str) -> Option<f64> {
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    Some(metric.sum())
}

#[tokio::test]
async fn emf_prints_what_cloudwatch_reads_from_logs() {
    let stage = Stage::set().await;
    let options = stage
        .options()
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
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
        if unit == "Count" {
            assert_eq!(line[name], 1.0);
        }
    }
    assert_eq!(stage.aws.calls_of(PUT).await.unwrap(), 0);
}

#[tokio::test]
async fn off_measures_nothing() {
    let stage = Stage::set().await;
    let function = Function::start(stage.options().env("METRICS", "off"))
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
    let stage = Stage::set().await;
    let options = stage.options().env("METRICS_NAMESPACE", "My/Home");
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

/// The function has answered while CloudWatch hangs, and what could not be delivered comes with the next invocation.
#[tokio::test]
async fn nobody_waits_for_cloudwatch_and_nothing_is_lost() {
    const ANSWERED: &str = "INVOKE RTDONE(status: success";
    const KEPT: &str = "kept for the next time";
    let stage = Stage::set().await;
    stage.aws.inject(&Fault::new(PUT, "hang")).await.unwrap();
    let function = stage.function().await;
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
    assert!(stage.aws.calls_of(PUT).await.unwrap() >= 1);
    stage.aws.clear_faults().await.unwrap();

    // Another token, so that there is something new to tell.
    stage.revoke().await;
    let token = stage.home.mint_token("second");
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let second = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(second["token"]["refreshed"], true, "{second}");
    let arrived = |metrics: &[Metric]| sum(metrics, "TokenRefresh") == Some(2.0);
    let metrics = stage
        .aws
        .metrics_until(NAMESPACE, WITHIN, arrived)
        .await
        .unwrap();
    assert_eq!(
        sum(&metrics, "TokenValid"),
        Some(2.0),
        "accepted, rejected, accepted"
    );
    let valid = metrics.iter().find(|metric| metric.name == "TokenValid");
    assert_eq!(valid.unwrap().samples(), 3.0);
}

/// Lambda's limit on an invocation holds for what comes after the answer as well: whoever exceeds it loses the sandbox.
#[tokio::test]
async fn cloudwatch_never_costs_the_sandbox() {
    let stage = Stage::set().await;
    stage.aws.inject(&Fault::new(PUT, "hang")).await.unwrap();
    let function = Function::start(stage.options().timeout(Duration::from_secs(3)))
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
