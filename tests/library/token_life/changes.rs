//! Tests of events that report a changed parameter. latchkey reads, validates and uses the new token at once, even if
//! the old token is not due.

use serde_json::{Value, json};
use testkit::{COMMAND, PARAMETER, fingerprint, parameter_change, problem};

use super::TokenStage;

const ARN: &str =
    "arn:aws:ssm:eu-central-1:123456789012:parameter/homeautomation/tokens/home-assistant";

/// Returns the event with its detail as a JSON string, as an EventBridge input transformer sends an event.
fn with_detail_as_text(event: &str) -> String {
    let mut event: Value = serde_json::from_str(event).unwrap();
    event["detail"] = json!(event["detail"].to_string());
    event.to_string()
}

#[tokio::test]
async fn changed_token_is_used_at_once() {
    let event = parameter_change(PARAMETER);
    for (event, parameter) in [
        (event.clone(), PARAMETER),
        (with_detail_as_text(&event), PARAMETER),
        (event.clone(), ARN),
        (with_detail_as_text(&event), ARN),
    ] {
        let stage = TokenStage::start().await;
        let sandbox = stage.sandbox(&[("HA_TOKEN_PARAMETER", parameter)]).await;
        sandbox.command().await;
        assert_eq!(stage.reads().await, 1);

        let new = stage.home.mint_token("new");
        stage.aws.put_token(PARAMETER, &new).await.unwrap();
        let told = sandbox.handle(&event).await;
        assert_eq!(
            told,
            json!({
                "statusCode": 200,
                "warm": true,
                "token": {
                    "valid": true,
                    "refreshed": true,
                    "fingerprint": fingerprint(&new),
                    "version": 2,
                },
                "session": "ready",
            }),
            "{event} {parameter}"
        );
        assert_eq!(stage.reads().await, 2);
        let counters = stage.home.counters();
        assert!(
            counters.presented(&new) >= 2,
            "over REST and over the socket"
        );
        assert_eq!(counters.auth_ok, 2);

        // The old token is no longer needed.
        assert!(stage.home.revoke(&stage.token));
        sandbox.command().await;
        let counters = stage.home.counters();
        assert_eq!((counters.auth_ok, counters.failed_logins), (2, 0));
        assert_eq!(stage.reads().await, 2);
    }
}

#[tokio::test]
async fn unchanged_token_costs_one_read_and_no_new_socket() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    sandbox.command().await;
    for reads in 2..4 {
        let told = sandbox.handle(&parameter_change(PARAMETER)).await;
        assert_eq!(told["token"]["valid"], true, "{told}");
        assert_eq!(told["token"]["refreshed"], true, "{told}");
        assert_eq!(told["token"]["version"], 1, "{told}");
        assert_eq!(stage.reads().await, reads);
        assert_eq!(stage.home.counters().auth_ok, 1);
    }
}

#[tokio::test]
async fn parameter_event_warms_a_cold_environment() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    let told = sandbox.handle(&parameter_change(PARAMETER)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    assert_eq!(told["session"], "ready", "{told}");
    assert_eq!(stage.reads().await, 1);
}

#[tokio::test]
async fn event_of_another_parameter_is_ignored() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    for name in [
        "/homeautomation/tokens/home-assistant-2",
        "/homeautomation/tokens",
        "/x/homeautomation/tokens/home-assistant",
        "/",
        "",
    ] {
        let event = parameter_change(name);
        for event in [event.clone(), with_detail_as_text(&event)] {
            let told = sandbox.handle(&event).await;
            let ignored = json!({ "statusCode": 200, "warm": true, "ignored": true });
            assert_eq!(told, ignored, "{event}");
        }
    }
    assert_eq!(stage.reads().await, 0);
    assert_eq!(stage.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn rejected_token_is_presented_once_for_each_stored_version() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    let strikes = || stage.home.counters().failed_logins;
    sandbox.command().await;
    stage.revoke(&stage.token, &[&sandbox]).await;
    let refused = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&refused), "token-rejected", "{refused}");
    assert_eq!(strikes(), 1);
    for stored in 2..4 {
        let version = stage.aws.put_token(PARAMETER, &stage.token).await.unwrap();
        assert_eq!(version, stored);
        // EventBridge delivers an event at least once.
        for _ in 0..3 {
            let told = sandbox.handle(&parameter_change(PARAMETER)).await;
            assert_eq!(told["token"]["valid"], false, "{told}");
            assert_eq!(problem(&told["problem"]), "token-rejected", "{told}");
            assert_eq!(told["token"]["version"], version, "{told}");
            assert_eq!(u64::try_from(version).unwrap(), strikes());
        }
        let refused = sandbox.handle(COMMAND).await;
        assert_eq!(problem(&refused), "token-rejected", "{refused}");
        assert_eq!(u64::try_from(version).unwrap(), strikes());
    }

    let mended = stage.home.mint_token("mended");
    stage.aws.put_token(PARAMETER, &mended).await.unwrap();
    let told = sandbox.handle(&parameter_change(PARAMETER)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    assert_eq!(told["token"]["fingerprint"], fingerprint(&mended), "{told}");
    sandbox.command().await;
    assert_eq!(strikes(), 3);
}
