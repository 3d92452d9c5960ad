//! Two runs at once: one at a time does anything, and one that was overtaken does nothing any more.

use std::time::Duration;

use latchkey_dev::home::SimulatedHome;
use latchkey_dev::stack::Fault;
use testkit::{PARAMETER, Sandbox, problem, stopped_clock};

use super::{DRAINED, RotationStage, state};

/// The call that reads all versions.
const HISTORY: &str = "ssm:GetParameterHistory";

/// Another sandbox whose clock is so far ahead that the lease has ended for it.
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

/// A run is overtaken by another, from beginning to end, while it waits for this renewal of its lease. It must not
/// notice only when it is too late: what it has minted, the other has revoked.
async fn overtake(skipped: u32) {
    let stage = RotationStage::set().await;
    let before = stage.stored().await;
    let sandbox = stage.sandbox().await;
    stage.hang_at_renewal(skipped).await;
    let (overtaken, orphan) = tokio::join!(stage.rotate(&sandbox), async {
        stage.until_renewal_hangs().await;
        let orphan = minted_last(&stage.home);
        let other = rotate_later(&stage).await;
        assert_eq!(state(&other), "draining", "{other}");
        // Nobody could have it any more but the run that had lost its lease.
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
async fn a_run_that_was_overtaken_does_not_prove_its_token() {
    overtake(2).await;
}

#[tokio::test]
async fn a_run_that_was_overtaken_does_not_store_its_token() {
    overtake(3).await;
}

fn minted_last(home: &SimulatedHome) -> String {
    home.tokens().pop().unwrap().access_token
}

#[tokio::test]
async fn whoever_has_no_time_to_wait_is_told_until_when_another_has_the_lease() {
    let stage = RotationStage::set().await;
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
async fn runs_in_one_process_without_a_table_take_turns_as_well() {
    let stage = RotationStage::set().await;
    let mut variables = stage.variables();
    variables.remove("TABLE_NAME");
    let sandbox = stage.sandbox_with(&variables).await;
    // The first has the lease, and its look at the versions waits until the second has come and gone.
    let fault = Fault::new(HISTORY, "hang").skip(1).times(1);
    stage.aws.inject(&fault).await.unwrap();
    let (first, ()) = tokio::join!(stage.rotate(&sandbox), async {
        let hangs = stage.aws.until_hanging(HISTORY, super::WITHIN);
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
