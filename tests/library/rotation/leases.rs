//! Tests of concurrent rotations. One run at a time holds the lease. A run that has lost its lease stops.

use std::time::Duration;

use latchkey_dev::home::SimulatedHome;
use latchkey_dev::stack::Fault;
use testkit::{PARAMETER, Sandbox, problem, stopped_clock};

use super::{DRAINED, RotationStage, state};

/// The call that reads all versions.
const HISTORY: &str = "ssm:GetParameterHistory";

/// Rotates in another execution environment, by whose clock the lease has expired.
async fn rotate_later(stage: &RotationStage) -> serde_json::Value {
    let later = stopped_clock();
    later.advance(Duration::from_secs(60));
    let sandbox = Sandbox::builder()
        .aws(&stage.aws)
        .envs(stage.variables())
        .clock(later.clone())
        .seed(7)
        .start()
        .await;
    sandbox.handle(super::ROTATE).await
}

/// Lets one run overtake another run that waits for this lease renewal. The overtaken run must stop, because the
/// other run has revoked the token that the overtaken run minted.
async fn overtake_at_renewal(skipped: u32) {
    let stage = RotationStage::start().await;
    let before = stage.stored().await;
    let sandbox = stage.sandbox().await;
    stage.hang_at_renewal(skipped).await;
    let (overtaken, orphan) = tokio::join!(stage.rotate(&sandbox), async {
        stage.until_renewal_hangs().await;
        let orphan = last_minted_token(&stage.home);
        let other = rotate_later(&stage).await;
        assert_eq!(state(&other), "draining", "{other}");
        // Only the run that has lost its lease knows this token.
        assert!(!stage.home.accepts(&orphan));
        stage.aws.clear_faults().await.unwrap();
        orphan
    });
    let history = stage.history().await;
    assert!(
        history.iter().all(|version| version.value != orphan),
        "a revoked token is in use"
    );
    assert_eq!(history.len(), 2);
    assert!(stage.home.accepts(&history[1].value));
    assert!(stage.home.accepts(&before));
    assert_eq!(stage.tokens().len(), 2);
    assert_eq!(stage.home.counters().failed_logins, 0);
    assert_eq!(problem(&overtaken), "internal", "{overtaken}");
    stage.finish().await;
    assert_eq!(stage.stored().await, history[1].value);
    assert_eq!(stage.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn overtaken_run_does_not_validate_its_token() {
    overtake_at_renewal(2).await;
}

#[tokio::test]
async fn overtaken_run_does_not_store_its_token() {
    overtake_at_renewal(3).await;
}

fn last_minted_token(home: &SimulatedHome) -> String {
    home.tokens().pop().unwrap().access_token
}

#[tokio::test]
async fn run_without_time_to_wait_reports_busy_and_the_resume_time() {
    let stage = RotationStage::start().await;
    let sandbox = stage.sandbox().await;
    stage.hang_at_renewal(1).await;
    let (first, ()) = tokio::join!(stage.rotate(&sandbox), async {
        stage.until_renewal_hangs().await;
        let other = stage.sandbox().await;
        let busy = other
            .handle_within(Duration::from_secs(6), super::ROTATE)
            .await;
        assert_eq!(state(&busy), "busy", "{busy}");
        assert!(busy["rotation"]["resume_at"].is_string(), "{busy}");
        assert_eq!(stage.tokens().len(), 1);
        stage.aws.clear_faults().await.unwrap();
    });
    assert_eq!(state(&first), "draining", "{first}");
    stage.finish().await;
}

#[tokio::test]
async fn runs_in_one_process_without_a_table_take_turns() {
    let stage = RotationStage::start().await;
    let mut variables = stage.variables();
    variables.remove("TABLE_NAME");
    let sandbox = stage.sandbox_with(&variables).await;
    // The first run holds the lease, and its read of the versions hangs until the second run has ended.
    let fault = Fault::new(HISTORY, "hang").skip(1).times(1);
    stage.aws.inject(&fault).await.unwrap();
    let (first, ()) = tokio::join!(stage.rotate(&sandbox), async {
        let hangs = stage.aws.until_hanging(HISTORY, super::WAIT_TIMEOUT);
        hangs.await.unwrap();
        let busy = sandbox
            .handle_within(Duration::from_secs(6), super::ROTATE)
            .await;
        assert_eq!(state(&busy), "busy", "{busy}");
        stage.aws.clear_faults().await.unwrap();
    });
    assert_eq!(state(&first), "draining", "{first}");
    assert_eq!(stage.aws.history(PARAMETER).await.unwrap().len(), 2);
    stage.clock.advance(DRAINED);
    let answer = stage.handle(&sandbox, super::RESUME).await;
    assert_eq!(state(&answer), "rotated", "{answer}");
    stage.assert_settled().await;
}
