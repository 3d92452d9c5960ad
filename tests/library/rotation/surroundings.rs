//! What a rotation cannot do without: the home, the table, the parameter, time, and a cache.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::SystemClock;
use latchkey_dev::stack::Fault;
use serde_json::Value;
use testkit::{PARAMETER, Sandbox, problem};

use super::{PUT_ITEM, ROTATE, RotationStage, state};

#[tokio::test]
async fn a_home_that_is_down_stays_as_it_is() {
    let mut stage = RotationStage::set().await;
    let before = stage.stored().await;
    stage.home.stop().await;
    let failed = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(problem(&failed), "home-unreachable", "{failed}");
    stage.assert_untouched(&before).await;
    stage.home.restart().await.unwrap();
    stage.rotate_to_the_end().await;
}

#[tokio::test]
async fn without_the_lease_nothing_is_done() {
    let stage = RotationStage::set().await;
    let before = stage.stored().await;
    for code in ["AccessDeniedException", "ResourceNotFoundException"] {
        stage.aws.inject(&Fault::new(PUT_ITEM, code)).await.unwrap();
        let failed = stage.next(ROTATE).await;
        assert_eq!(problem(&failed), "internal", "{code}: {failed}");
        let action = failed["action"].as_str().unwrap();
        assert!(action.contains("TABLE_NAME"), "{code}: {action}");
        stage.assert_untouched(&before).await;
        stage.aws.clear_faults().await.unwrap();
    }
    // Nor once it has begun: the token minted before the lease could not be renewed any more is not left behind.
    let fault = Fault::new(PUT_ITEM, "AccessDeniedException");
    stage
        .aws
        .inject(&fault.containing("rotation#").skip(2))
        .await
        .unwrap();
    let failed = stage.next(ROTATE).await;
    assert_eq!(problem(&failed), "internal", "{failed}");
    stage.aws.clear_faults().await.unwrap();
    assert_eq!(stage.stored().await, before);
    stage.rotate_to_the_end().await;
}

#[tokio::test]
async fn versions_that_cannot_be_read_stop_it() {
    let stage = RotationStage::set().await;
    let before = stage.stored().await;
    for action in ["ssm:GetParameter", "ssm:GetParameterHistory"] {
        let fault = Fault::new(action, "AccessDeniedException");
        stage.aws.inject(&fault).await.unwrap();
        let failed = stage.next(ROTATE).await;
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

/// Hands over a demand to rotate that has only so much time.
async fn rotate_within(stage: &RotationStage, time: Duration) -> Value {
    stage.clock.advance(Duration::from_secs(30));
    let sandbox = stage.sandbox().await;
    sandbox.handle_within(time, ROTATE).await
}

#[tokio::test]
async fn no_step_is_begun_without_time_for_it() {
    let stage = RotationStage::set().await;
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
async fn time_that_runs_out_in_the_midst_is_made_up_for_by_the_next_run() {
    let stage = RotationStage::set().await;
    let before = stage.stored().await;
    // As the lease is taken, and as it is renewed before minting and proving.
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
async fn a_token_that_lies_in_no_parameter_is_not_rotated() {
    let stage = RotationStage::set().await;
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
async fn a_function_that_keeps_no_token_rotates_as_well() {
    let stage = RotationStage::set().await;
    let old = stage.stored().await;
    let mut variables = stage.variables();
    variables.insert("TOKEN_TTL_SECONDS".into(), "0".into());
    // The drain is so short that it is waited for, so this clock has to go.
    let clock = Arc::new(SystemClock::new());
    let sandbox = Sandbox::builder()
        .aws(&stage.aws)
        .envs(variables)
        .clock(clock)
        .start()
        .await;
    // It was warm before: its connection is the old token's.
    let warm = sandbox.handle(r#"{"source":"keep-warm"}"#).await;
    assert_eq!(warm["token"]["valid"], true, "{warm}");
    let answer = sandbox.handle(ROTATE).await;
    assert_eq!(state(&answer), "rotated", "{answer}");
    assert_ne!(stage.stored().await, old);
    stage.assert_settled().await;
    assert_eq!(stage.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn a_change_of_another_parameter_is_none_of_this_ones() {
    let stage = RotationStage::set().await;
    let other = stage.home.mint_token("another's");
    let elsewhere = format!("{PARAMETER}-of-another");
    stage.aws.put_token(&elsewhere, &other).await.unwrap();
    let mut variables = stage.variables();
    variables.insert("HA_TOKEN_PARAMETER".into(), elsewhere.clone());
    let begun = stage.rotate(&stage.sandbox_with(&variables).await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    // What the other one has minted, and what it is about to revoke, is its own.
    let before = stage.stored().await;
    let begun = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    let answer = stage.later(super::RESUME).await;
    assert_eq!(state(&answer), "rotated", "{answer}");
    assert!(!stage.home.accepts(&before));
    let theirs = stage.aws.history(&elsewhere).await.unwrap();
    assert_eq!(theirs.len(), 2);
    for version in theirs {
        assert!(stage.home.accepts(&version.value));
    }
}

/// Whoever reads one version would go on reading it after a rotation.
#[tokio::test]
async fn a_pinned_token_is_served_and_its_rotation_is_refused_with_the_way_out() {
    let stage = RotationStage::set().await;
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
