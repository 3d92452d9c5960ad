//! Tests of failures while the old token is revoked. By then no execution environment uses the old token.

use std::time::Duration;

use latchkey_dev::home::{Break, SocketFault, SocketStage};
use testkit::problem;

use super::{DRAINED, RESUME, RotationStage, state};

const DELETE: &str = "auth/delete_refresh_token";

/// Starts a rotation and drains it, so that only the revocation is left. Returns the old token.
async fn drained_rotation() -> (RotationStage, String) {
    let stage = RotationStage::start().await;
    let old = stage.stored().await;
    let begun = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    assert!(begun["rotation"]["resume_at"].is_string(), "{begun}");
    assert!(stage.home.accepts(&old) && stage.tokens().len() == 2);
    stage.clock.advance(DRAINED);
    (stage, old)
}

#[tokio::test]
async fn token_is_not_revoked_while_it_may_be_in_use() {
    let stage = RotationStage::start().await;
    let old = stage.stored().await;
    let first = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&first), "draining", "{first}");
    // A resume or another rotation event does not shorten the drain and does not begin another rotation.
    for payload in [RESUME, super::ROTATE] {
        let again = stage.handle(&stage.sandbox().await, payload).await;
        assert_eq!(state(&again), "draining", "{again}");
        assert_eq!(
            again["rotation"]["resume_at"], first["rotation"]["resume_at"],
            "{again}"
        );
        assert_eq!(again["rotation"]["revoked"], 0);
    }
    assert!(stage.home.accepts(&old));
    assert_eq!(stage.history().await.len(), 2);
    stage.finish().await;
}

#[tokio::test]
async fn unanswered_revocation_is_completed_by_the_next_run() {
    for at in [SocketStage::Command, SocketStage::Reply] {
        for way in [Break::Close, Break::Hang] {
            let (stage, old) = drained_rotation().await;
            stage.home.break_during(DELETE, at, way, 1);
            let failed = stage.handle(&stage.sandbox().await, RESUME).await;
            assert_eq!(
                problem(&failed),
                "command-outcome-unknown",
                "{at:?} {way:?}: {failed}"
            );
            let answer = stage.handle_after_failure(RESUME).await;
            let expected = match at {
                SocketStage::Reply => "nothing-to-do",
                _ => "rotated",
            };
            assert_eq!(state(&answer), expected, "{at:?} {way:?}: {answer}");
            assert!(!stage.home.accepts(&old), "{at:?} {way:?}");
            stage.assert_settled().await;
            assert_eq!(stage.home.counters().failed_logins, 0);
        }
    }
}

#[tokio::test]
async fn failed_revocation_is_reported_and_retried_by_the_next_run() {
    let (stage, _) = drained_rotation().await;
    let sandbox = stage.sandbox().await;
    // The third lease write is the last one before the revocation. The first write takes the lease, and the second
    // write follows the read of the versions.
    stage.hang_at_renewal(2).await;
    let (failed, ()) = tokio::join!(stage.handle(&sandbox, RESUME), async {
        stage.until_renewal_hangs().await;
        let refusal = SocketFault::ErrorReply("home_assistant_error");
        stage.home.set_fault_times(refusal, 1);
        stage.aws.clear_faults().await.unwrap();
    });
    assert_eq!(problem(&failed), "not-home-assistant", "{failed}");
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("home_assistant_error"), "{failed}");
    stage.clock.advance(Duration::from_secs(30));
    let again = stage.handle(&sandbox, RESUME).await;
    assert!(
        ["rotated", "nothing-to-do"].contains(&state(&again)),
        "{again}"
    );
    stage.assert_settled().await;
}

#[tokio::test]
async fn token_already_revoked_elsewhere_completes_the_rotation() {
    let (stage, old) = drained_rotation().await;
    let sandbox = stage.sandbox().await;
    stage.hang_at_renewal(2).await;
    let (answer, ()) = tokio::join!(stage.handle(&sandbox, RESUME), async {
        stage.until_renewal_hangs().await;
        assert!(stage.home.revoke(&old));
        stage.aws.clear_faults().await.unwrap();
    });
    assert_eq!(state(&answer), "rotated", "{answer}");
    stage.assert_settled().await;
}
