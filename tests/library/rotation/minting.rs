//! Tests of failures while a token is minted and validated. Such a token never comes into use and is revoked.

use latchkey_dev::home::{Break, Fault, RestFault, SocketFault, SocketStage};
use testkit::problem;

use super::{RESUME, ROTATE, RotationStage, state, steps};

const MINT: &str = "auth/long_lived_access_token";
const WAYS: [Break; 5] = [
    Break::Close,
    Break::CloseFrame(1000),
    Break::Reset,
    Break::Hang,
    Break::HalfOpen,
];

#[tokio::test]
async fn minted_token_with_a_lost_reply_is_revoked_by_the_next_run() {
    let stage = RotationStage::start().await;
    for way in WAYS {
        let before = stage.stored().await;
        stage.home.break_during(MINT, SocketStage::Reply, way, 1);
        let failed = stage.rotate(&stage.sandbox().await).await;
        assert_eq!(
            problem(&failed),
            "command-outcome-unknown",
            "{way:?}: {failed}"
        );
        // The home has a token that no run knows.
        assert_eq!(stage.tokens().len(), 2, "{way:?}");
        assert_eq!(stage.stored().await, before, "{way:?}");
        let orphan = stage.tokens().pop().unwrap();

        // Another run might still store the token, so the next run waits before the revocation.
        let plan = r#"{"source":"rotate-token","dry_run":true}"#;
        let plan = stage.handle(&stage.sandbox().await, plan).await;
        assert_eq!(state(&plan), "planned", "{way:?}: {plan}");
        assert!(steps(&plan).contains("wait"), "{way:?}: {plan}");
        assert!(stage.home.accepts(&orphan.access_token), "{way:?}");
        let begun = stage.handle_after_failure(ROTATE).await;
        assert_eq!(state(&begun), "draining", "{way:?}: {begun}");
        assert_eq!(begun["rotation"]["revoked"], 1, "{begun}");
        assert!(steps(&begun).contains(&orphan.id), "{way:?}: {begun}");
        assert!(!stage.home.accepts(&orphan.access_token), "{way:?}");
        assert!(stage.home.accepts(&before), "{way:?}");
        stage.finish().await;
    }
    assert_eq!(stage.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn resume_revokes_an_orphaned_token() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    stage
        .home
        .break_during(MINT, SocketStage::Reply, Break::Close, 1);
    stage.rotate(&stage.sandbox().await).await;
    let resumed = stage.handle_after_failure(RESUME).await;
    // The resume revokes the orphaned token and does not begin a rotation.
    assert_eq!(state(&resumed), "nothing-to-do", "{resumed}");
    assert_eq!(resumed["rotation"]["revoked"], 1);
    stage.assert_untouched(&before).await;
}

#[tokio::test]
async fn failed_mint_leaves_the_home_unchanged() {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    for way in WAYS {
        stage.home.break_during(MINT, SocketStage::Command, way, 1);
        let failed = stage.handle_after_failure(ROTATE).await;
        assert_eq!(
            problem(&failed),
            "command-outcome-unknown",
            "{way:?}: {failed}"
        );
        stage.assert_untouched(&before).await;
    }
    stage.rotate_to_the_end().await;
}

#[tokio::test]
async fn new_token_that_fails_validation_is_revoked_and_not_stored() {
    let faults: [Fault; 5] = [
        RestFault::Status(401).into(),
        RestFault::Status(503).into(),
        RestFault::Html.into(),
        RestFault::Close.into(),
        SocketFault::AuthInvalid.into(),
    ];
    for fault in faults {
        let stage = RotationStage::start().await;
        let before = stage.stored().await;
        let sandbox = stage.sandbox().await;
        // The token is minted, and its validation waits for the lease renewal.
        stage.hang_at_renewal(2).await;
        let (failed, ()) = tokio::join!(stage.rotate(&sandbox), async {
            stage.until_renewal_hangs().await;
            stage.home.set_fault(fault.clone());
            stage.aws.clear_faults().await.unwrap();
        });
        assert!(
            failed["detail"].as_str().unwrap().contains("not accepted"),
            "{fault:?}: {failed}"
        );
        stage.home.clear_faults();
        stage.assert_untouched(&before).await;
        assert_eq!(stage.history().await.len(), 1, "{fault:?}");
        // The stored token is still valid.
        let answer = stage
            .handle(&sandbox, r#"{"command":{"type":"ping"}}"#)
            .await;
        assert_eq!(answer["results"][0]["success"], true, "{fault:?}: {answer}");
        assert!(stage.home.counters().failed_logins <= 1, "{fault:?}");
        stage.rotate_to_the_end().await;
    }
}
