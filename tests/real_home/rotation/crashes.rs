//! A rotation that is killed in the midst of it: at every renewal of its lease, which is before each of its steps, and
//! while the token is stored. The next one waits until the dead one's lease has ended and goes on from what it finds.

use latchkey_dev::stack::Fault;

use crate::operator::{Run, run};
use crate::search::Canary;
use crate::{Stage, WITHIN, state};

const PUT_ITEM: &str = "dynamodb:PutItem";
const PUT_PARAMETER: &str = "ssm:PutParameter";

/// At this renewal, counted from 0, the token has been stored: the lease was taken, and renewed before minting,
/// proving and storing.
const STORED: u32 = 4;

/// Starts a rotation and kills it when the call that the fault is about hangs. False: it has ended before.
async fn crash(stage: &Stage, action: &str, fault: Fault) -> bool {
    stage.aws.inject(&fault).await.unwrap();
    let mut doomed = Run::start(stage, &["rotate"], &[]);
    let hangs = tokio::select! {
        hangs = stage.aws.until_hanging(action, WITHIN) => {
            hangs.unwrap();
            true
        }
        () = doomed.until_ended() => false,
    };
    if hangs {
        doomed.kill().await;
    } else {
        let ended = doomed.end().await;
        assert!(ended.succeeded, "{}", ended.printed);
    }
    stage.aws.clear_faults().await.unwrap();
    // Whatever happened, what is stored is good.
    let stored = stage.stored().await;
    assert!(stage.home.accepts(&stored).await.unwrap());
    hangs
}

/// The fault that a run meets at its lease's renewal of this number.
fn at_renewal(number: u32) -> Fault {
    Fault::new(PUT_ITEM, "hang")
        .containing("rotation#")
        .skip(number)
}

/// Runs a rotation to its end after one that was killed.
async fn recover(stage: &Stage, crash: &str) {
    let mut canary = Canary::new(&stage.stored().await);
    let ended = run(stage, &["rotate"]).await;
    assert!(ended.succeeded, "{crash}: {}", ended.printed);
    assert_eq!(state(&ended.answer), "rotated", "{crash}: {}", ended.answer);
    canary.watch(&stage.stored().await);
    canary.search(crash, &ended.printed);
    stage.assert_settled().await;
}

#[tokio::test]
async fn a_rotation_killed_before_the_new_token_is_in_use_is_made_up_for() {
    let stage = Stage::set().await;
    for number in 0..STORED {
        let (before, known) = (stage.stored().await, stage.tokens().await.len());
        assert!(
            crash(&stage, PUT_ITEM, at_renewal(number)).await,
            "{number}"
        );
        assert_eq!(stage.stored().await, before, "{number}");
        let orphans = usize::from(number >= 2);
        assert_eq!(stage.tokens().await.len(), known + orphans, "{number}");
        recover(&stage, &format!("killed at renewal {number}")).await;
        assert_ne!(stage.stored().await, before, "{number}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_rotation_killed_while_it_stores_the_new_token_is_made_up_for() {
    let stage = Stage::set().await;
    for is_stored in [false, true] {
        let before = stage.stored().await;
        let fault = Fault::new(PUT_PARAMETER, "hang");
        let fault = if is_stored { fault.after() } else { fault };
        assert!(crash(&stage, PUT_PARAMETER, fault).await);
        assert_eq!(stage.stored().await != before, is_stored);
        assert_eq!(stage.tokens().await.len(), 2);
        let stored = stage.stored().await;
        recover(
            &stage,
            &format!("killed while storing, stored: {is_stored}"),
        )
        .await;
        // The one that was stored is finished, and no other begun.
        assert_eq!(stage.stored().await == stored, is_stored);
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_rotation_killed_after_the_new_token_is_in_use_is_finished() {
    let stage = Stage::set().await;
    let mut number = STORED;
    loop {
        let before = stage.stored().await;
        if !crash(&stage, PUT_ITEM, at_renewal(number)).await {
            break;
        }
        assert_ne!(stage.stored().await, before, "{number}");
        recover(&stage, &format!("killed at renewal {number}")).await;
        number += 1;
    }
    // It waited at least once, looked again, and renewed its lease before the revocation and after it.
    assert!(number > STORED + 3, "{number}");
    stage.assert_settled().await;
    stage.stop().await;
}
