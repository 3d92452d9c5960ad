//! Tests of failures while the new token is stored. If the token is certainly not stored, the run revokes the token
//! at once. If the token may be stored, the next run decides.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use latchkey_dev::stack::Fault;
use testkit::{PARAMETER, Sandbox, problem};

use super::{PUT_PARAMETER, ROTATE, RotationStage, state, steps};

/// Starts an execution environment whose AWS calls time out, as in Lambda.
async fn sandbox_with_aws_timeouts(stage: &RotationStage) -> Sandbox {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(800))
        .operation_timeout(Duration::from_millis(2_000))
        .build();
    let aws = stage.aws.sdk_config().clone();
    let aws = aws.into_builder().timeout_config(timeouts).build();
    let sandbox = Sandbox::builder().sdk(aws).envs(stage.variables());
    let sandbox = sandbox.clock(stage.clock.clone()).any_seed();
    sandbox.start().await
}

#[tokio::test]
async fn token_is_revoked_at_once_when_storing_it_is_denied() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    for code in ["AccessDeniedException", "KMSAccessDenied"] {
        stage
            .aws
            .inject(&Fault::new(PUT_PARAMETER, code))
            .await
            .unwrap();
        stage.clock.advance(Duration::from_secs(30));
        let sandbox = stage.sandbox().await;
        let failed = stage.rotate(&sandbox).await;
        assert_eq!(
            problem(&failed),
            "token-source-unavailable",
            "{code}: {failed}"
        );
        let action = failed["action"].as_str().unwrap();
        assert!(action.contains("ssm:PutParameter"), "{code}: {action}");
        stage.assert_untouched(&before).await;
        assert_eq!(stage.history().await.len(), 1, "{code}");
        // The old token stays in use.
        let answer = stage
            .handle(&sandbox, r#"{"command":{"type":"ping"}}"#)
            .await;
        assert_eq!(answer["results"][0]["success"], true, "{code}: {answer}");
        stage.aws.clear_faults().await.unwrap();
    }
    stage.rotate_to_the_end().await;
    assert_eq!(stage.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn token_stored_without_a_response_is_found_and_used() {
    for code in ["500", "hang"] {
        let stage = RotationStage::start().await;
        let before = stage.stored().await;
        stage
            .aws
            .inject(&Fault::new(PUT_PARAMETER, code).after())
            .await
            .unwrap();
        let begun = stage.rotate(&sandbox_with_aws_timeouts(&stage).await).await;
        assert_eq!(state(&begun), "draining", "{code}: {begun}");
        stage.aws.clear_faults().await.unwrap();
        assert_ne!(stage.stored().await, before, "{code}");
        assert!(stage.home.accepts(&stage.stored().await), "{code}");
        assert!(stage.home.accepts(&before), "{code}");
        stage.finish().await;
    }
}

#[tokio::test]
async fn lost_store_response_is_retried() {
    let stage = RotationStage::start().await;
    let fault = Fault::new(PUT_PARAMETER, "500").after().times(1);
    stage.aws.inject(&fault).await.unwrap();
    let begun = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    assert!(stage.history().await.len() > 1);
    stage.finish().await;
}

#[tokio::test]
async fn token_with_an_unknown_store_outcome_is_revoked_by_the_next_run() {
    for code in ["500", "hang"] {
        let stage = RotationStage::start().await;
        let before = stage.stored().await;
        stage
            .aws
            .inject(&Fault::new(PUT_PARAMETER, code))
            .await
            .unwrap();
        let failed = stage.rotate(&sandbox_with_aws_timeouts(&stage).await).await;
        assert_eq!(
            problem(&failed),
            "token-source-unavailable",
            "{code}: {failed}"
        );
        stage.aws.clear_faults().await.unwrap();
        assert_eq!(stage.stored().await, before, "{code}");
        assert!(stage.home.accepts(&before), "{code}");
        let orphan = stage.tokens().pop().unwrap();

        let begun = stage.handle_after_failure(ROTATE).await;
        assert_eq!(state(&begun), "draining", "{code}: {begun}");
        assert!(steps(&begun).contains(&orphan.id), "{code}: {begun}");
        stage.finish().await;
    }
}

#[tokio::test]
async fn token_stored_by_hand_during_a_rotation_is_not_overwritten() {
    let stage = RotationStage::start().await;
    let sandbox = stage.sandbox().await;
    // The run takes the lease and renews it before minting, validation and storing. The third lease write hangs until
    // a person has stored a token.
    stage.hang_at_renewal(2).await;
    let by_hand = stage.home.mint_token("made by hand, too");
    let (failed, ()) = tokio::join!(stage.rotate(&sandbox), async {
        stage.until_renewal_hangs().await;
        stage.aws.put_token(PARAMETER, &by_hand).await.unwrap();
        stage.aws.clear_faults().await.unwrap();
    });
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("omebody else stored"), "{failed}");
    assert_eq!(stage.stored().await, by_hand);
    // The home has the two tokens that were made by hand, and no other token.
    assert_eq!(stage.tokens().len(), 2);
    let answer = stage.handle(&sandbox, r#"{"source":"keep-warm"}"#).await;
    assert_eq!(answer["token"]["valid"], true, "{answer}");
    assert_eq!(stage.home.counters().failed_logins, 0);
}
