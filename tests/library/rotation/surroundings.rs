//! Tests of a rotation without one of its requirements: the home, the table, the parameter, time, or a token cache.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey_dev::stack::Fault;
use serde_json::Value;
use testkit::{PARAMETER, Sandbox, problem};

use super::{PUT_ITEM, ROTATE, RotationStage, state};

#[tokio::test]
async fn rotation_of_a_home_that_is_down_changes_nothing() {
    let mut stage = RotationStage::start().await;
    let before = stage.stored().await;
    stage.home.stop().await;
    let failed = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(problem(&failed), "home-unreachable", "{failed}");
    stage.assert_untouched(&before).await;
    stage.home.restart().await.unwrap();
    stage.rotate_to_the_end().await;
}

#[tokio::test]
async fn rotation_without_the_lease_changes_nothing() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    for code in ["AccessDeniedException", "ResourceNotFoundException"] {
        stage.aws.inject(&Fault::new(PUT_ITEM, code)).await.unwrap();
        let failed = stage.handle_after_failure(ROTATE).await;
        assert_eq!(problem(&failed), "internal", "{code}: {failed}");
        let action = failed["action"].as_str().unwrap();
        assert!(action.contains("TABLE_NAME"), "{code}: {action}");
        stage.assert_untouched(&before).await;
        stage.aws.clear_faults().await.unwrap();
    }
    // A run that cannot renew its lease does not leave a minted token behind.
    let fault = Fault::new(PUT_ITEM, "AccessDeniedException");
    stage
        .aws
        .inject(&fault.containing("rotation#").skip(2))
        .await
        .unwrap();
    let failed = stage.handle_after_failure(ROTATE).await;
    assert_eq!(problem(&failed), "internal", "{failed}");
    stage.aws.clear_faults().await.unwrap();
    assert_eq!(stage.stored().await, before);
    stage.rotate_to_the_end().await;
}

#[tokio::test]
async fn unreadable_versions_stop_the_rotation() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    for action in ["ssm:GetParameter", "ssm:GetParameterHistory"] {
        let fault = Fault::new(action, "AccessDeniedException");
        stage.aws.inject(&fault).await.unwrap();
        let failed = stage.handle_after_failure(ROTATE).await;
        assert_eq!(
            problem(&failed),
            "token-source-unavailable",
            "{action}: {failed}"
        );
        stage.aws.clear_faults().await.unwrap();
        stage.assert_untouched(&before).await;
    }
    stage.rotate_to_the_end().await;
}

/// Sends a rotation event with this deadline.
async fn rotate_within(stage: &RotationStage, time: Duration) -> Value {
    stage.clock.advance(Duration::from_secs(30));
    let sandbox = stage.sandbox().await;
    sandbox.handle_within(time, ROTATE).await
}

#[tokio::test]
async fn rotation_does_not_begin_a_step_without_time_for_it() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    for milliseconds in [0, 1_000, 2_500] {
        let failed = rotate_within(&stage, Duration::from_millis(milliseconds)).await;
        assert_eq!(
            problem(&failed),
            "deadline-exceeded",
            "{milliseconds}: {failed}"
        );
        stage.assert_untouched(&before).await;
    }
    stage.rotate_to_the_end().await;
}

#[tokio::test]
async fn rotation_cut_off_by_its_deadline_is_completed_by_the_next_run() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    // The deadline passes when the run takes the lease, and when the run renews the lease before minting and
    // validation.
    for skipped in 0..3 {
        stage.clock.advance(Duration::from_secs(30));
        stage.hang_at_renewal(skipped).await;
        let sandbox = stage.sandbox().await;
        let (failed, ()) = tokio::join!(stage.rotate(&sandbox), async {
            stage.until_renewal_hangs().await;
            stage.clock.advance(Duration::from_millis(17_500));
            stage.aws.clear_faults().await.unwrap();
        });
        let name = problem(&failed);
        assert_eq!(name, "deadline-exceeded", "{skipped}: {failed}");
        assert_eq!(stage.stored().await, before, "{skipped}");
        assert!(stage.home.accepts(&before), "{skipped}");
    }
    stage.rotate_to_the_end().await;
    assert_eq!(stage.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn token_from_a_variable_is_not_rotated() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    let mut variables = stage.variables();
    variables.insert("HA_TOKEN".into(), before.clone());
    let failed = stage.rotate(&stage.sandbox_with(&variables).await).await;
    assert_eq!(problem(&failed), "bad-request", "{failed}");
    let action = failed["action"].as_str().unwrap();
    assert!(action.contains("HA_TOKEN_PARAMETER"), "{failed}");
    stage.assert_untouched(&before).await;
}

#[tokio::test]
async fn function_without_a_token_cache_rotates_its_token() {
    let stage = RotationStage::start().await;
    let old = stage.stored().await;
    let mut variables = stage.variables();
    variables.insert("TOKEN_TTL_SECONDS".into(), "0".into());
    // The run waits for the short drain, so the clock must run.
    let clock = Arc::new(SystemClock::new());
    let sandbox = Sandbox::builder()
        .aws(&stage.aws)
        .envs(variables)
        .clock(clock)
        .start()
        .await;
    // The open connection uses the old token.
    let warm = sandbox.handle(r#"{"source":"keep-warm"}"#).await;
    assert_eq!(warm["token"]["valid"], true, "{warm}");
    let answer = sandbox.handle(ROTATE).await;
    assert_eq!(state(&answer), "rotated", "{answer}");
    assert_ne!(stage.stored().await, old);
    stage.assert_settled().await;
    assert_eq!(stage.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn rotation_of_another_parameter_does_not_affect_this_one() {
    let stage = RotationStage::start().await;
    let other = stage.home.mint_token("another's");
    let elsewhere = format!("{PARAMETER}-of-another");
    stage.aws.put_token(&elsewhere, &other).await.unwrap();
    let mut variables = stage.variables();
    variables.insert("HA_TOKEN_PARAMETER".into(), elsewhere.clone());
    let begun = stage.rotate(&stage.sandbox_with(&variables).await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    // This rotation does not revoke the tokens of the other rotation.
    let before = stage.stored().await;
    let begun = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    let answer = stage.handle_after_drain(super::RESUME).await;
    assert_eq!(state(&answer), "rotated", "{answer}");
    assert!(!stage.home.accepts(&before));
    let theirs = stage.aws.history(&elsewhere).await.unwrap();
    assert_eq!(theirs.len(), 2);
    for version in theirs {
        assert!(stage.home.accepts(&version.value));
    }
}

/// A pinned parameter would still return the old version after a rotation.
#[tokio::test]
async fn pinned_token_is_served_and_its_rotation_is_rejected_with_a_remedy() {
    let stage = RotationStage::start().await;
    let (stored, tokens) = (stage.stored().await, stage.tokens().len());
    let client = aws_sdk_ssm::Client::new(stage.aws.sdk_config());
    let labelled = client.label_parameter_version().name(PARAMETER);
    labelled.labels("prod").send().await.unwrap();
    for (name, selector) in [
        (format!("{PARAMETER}:1"), "`1`"),
        (format!("{PARAMETER}:prod"), "`prod`"),
    ] {
        let mut variables = stage.variables();
        variables.insert("HA_TOKEN_PARAMETER".into(), name.clone());
        let sandbox = stage.sandbox_with(&variables).await;
        let served = stage
            .handle(&sandbox, r#"{"command":{"type":"ping"}}"#)
            .await;
        assert_eq!(served["results"][0]["success"], true, "{name}: {served}");
        for event in [ROTATE, r#"{"source":"rotate-token","dry_run":true}"#] {
            let answer = stage.handle(&sandbox, event).await;
            assert_eq!(problem(&answer), "bad-request", "{name}: {answer}");
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.contains(PARAMETER), "{name}: {answer}");
            assert!(detail.contains(selector), "{name}: {answer}");
            let action = answer["action"].as_str().unwrap();
            assert!(action.contains("HA_TOKEN_PARAMETER"), "{name}: {answer}");
        }
    }
    assert_eq!(stage.stored().await, stored);
    assert_eq!(stage.tokens().len(), tokens);
}
