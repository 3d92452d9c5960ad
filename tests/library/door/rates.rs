//! How much a caller may ask, of one sandbox and of several that share a table.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use futures_util::future::join_all;
use latchkey::base::clock::{Clock, ManualClock};
use latchkey::base::config::{Rate, RateLimits};
use latchkey::base::table::Table;
use latchkey::service::rate_limit::{BucketId, RateLimiter};
use latchkey_dev::stack::{AwsEmulator, Fault};
use serde_json::{Value, json};
use testkit::callers::{request, run, token};
use testkit::problem;

use super::DoorStage;

const TABLE: &str = "latchkey";
const UPDATE_ITEM: &str = "dynamodb:UpdateItem";
/// However slow the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
const RATE: Rate = Rate {
    interval: Duration::from_secs(1),
    burst: 40,
};

fn sandbox(aws: &AwsEmulator, clock: &Arc<ManualClock>) -> RateLimiter {
    let small = Rate { burst: 5, ..RATE };
    let limits = RateLimits {
        plans: [("small".to_owned(), Some(small))].into(),
        others: Some(RATE),
    };
    let table = Table::new(Client::new(aws.sdk_config()), TABLE.into());
    let clock: Arc<dyn Clock> = clock.clone();
    RateLimiter::new(limits, Some(table), PATIENCE, clock)
}

async fn written(aws: &AwsEmulator) -> u64 {
    aws.calls_of(UPDATE_ITEM).await.unwrap()
}

async fn stage() -> (AwsEmulator, Arc<ManualClock>) {
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table(TABLE).await.unwrap();
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
    (aws, clock)
}

#[tokio::test]
async fn sandboxes_together_give_out_one_bucket() {
    let (aws, clock) = stage().await;
    let sandboxes = [(); 3].map(|()| sandbox(&aws, &clock));
    let (a, b) = (BucketId::new(None, "a"), BucketId::new(None, "b"));
    let taken = async |bucket: &BucketId| {
        let mut taken = 0;
        for turn in 0..90 {
            let outcome = sandboxes[turn % 3].take(bucket, None, 1).await;
            taken += u32::from(outcome.is_ok());
        }
        taken
    };
    assert_eq!(taken(&a).await, 40);
    clock.advance(Duration::from_secs(5));
    assert_eq!(taken(&a).await, 5);
    clock.advance(Duration::from_secs(10_000));
    assert_eq!(taken(&a).await, 40);
    assert_eq!(taken(&b).await, 40);
    let items = aws.items(TABLE).await.unwrap();
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|item| item["expires_at"].is_number()));
}

/// A sandbox goes to the table once for a tenth of a bucket, and for the next tenth after an answer.
#[tokio::test]
async fn a_caller_who_is_known_waits_for_no_table() {
    let (aws, clock) = stage().await;
    let sandbox = sandbox(&aws, &clock);
    let bucket = BucketId::new(None, "a");
    for request in 0..40 {
        let before = written(&aws).await;
        assert_eq!(sandbox.take(&bucket, None, 1).await, Ok(()));
        let expected = before + u64::from(request == 0);
        assert_eq!(written(&aws).await, expected, "request {request}");
        sandbox.replenish(PATIENCE).await;
    }
    assert_eq!(written(&aws).await, 10);
    let exhausted = sandbox.take(&bucket, None, 1).await.unwrap_err();
    assert_eq!(exhausted.wait, Duration::from_secs(1));
    // That the bucket is empty is known without asking.
    assert_eq!(written(&aws).await, 10);

    // Where a tenth of a bucket is one request, the next one is there all the same.
    let bucket = BucketId::new(None, "b");
    for request in 0..4 {
        let before = written(&aws).await;
        assert_eq!(sandbox.take(&bucket, Some("small"), 1).await, Ok(()));
        let expected = before + u64::from(request == 0);
        assert_eq!(written(&aws).await, expected, "request {request}");
        sandbox.replenish(PATIENCE).await;
    }
}

/// A bucket that others have emptied is asked for once, and not again before there can be something in it.
#[tokio::test]
async fn a_refusal_costs_one_write_at_most() {
    let (aws, clock) = stage().await;
    let (first, second) = (sandbox(&aws, &clock), sandbox(&aws, &clock));
    let bucket = BucketId::new(None, "a");
    for _ in 0..40 {
        assert_eq!(first.take(&bucket, None, 1).await, Ok(()));
    }
    let before = written(&aws).await;
    for _ in 0..5 {
        assert!(second.take(&bucket, None, 1).await.is_err());
        second.replenish(PATIENCE).await;
    }
    // It took the bucket for full, and was told.
    assert_eq!(written(&aws).await, before + 1);
    clock.advance(Duration::from_secs(3));
    assert_eq!(second.take(&bucket, None, 3).await, Ok(()));
    assert!(second.take(&bucket, None, 1).await.is_err());
}

/// However many draw at once, nobody is turned away while there is something left, and no more is given out.
#[tokio::test]
async fn a_crowd_of_new_sandboxes_empties_one_bucket() {
    let (aws, clock) = stage().await;
    let sandboxes: Vec<RateLimiter> = (0..20).map(|_| sandbox(&aws, &clock)).collect();
    let bucket = BucketId::new(None, "a");
    let taken = join_all(sandboxes.iter().map(async |sandbox| {
        let mut taken = 0;
        for _ in 0..4 {
            taken += u32::from(sandbox.take(&bucket, None, 1).await.is_ok());
        }
        taken
    }));
    // As many as each draws at a time.
    assert_eq!(taken.await.iter().sum::<u32>(), 40);
}

/// Of another plan, or of a sandbox whose clock is wrong.
#[tokio::test]
async fn a_bucket_that_is_too_empty_is_put_right() {
    let (aws, clock) = stage().await;
    let ahead = Arc::new(ManualClock::at(Duration::from_secs(1_800_100_000)));
    let (wrong, right) = (sandbox(&aws, &ahead), sandbox(&aws, &clock));
    let bucket = BucketId::new(None, "a");
    assert_eq!(wrong.take(&bucket, None, 1).await, Ok(()));
    let exhausted = right.take(&bucket, None, 1).await.unwrap_err();
    assert_eq!(exhausted.wait, Duration::from_secs(1));
    clock.advance(Duration::from_secs(2));
    assert_eq!(right.take(&bucket, None, 2).await, Ok(()));
}

#[tokio::test]
async fn without_the_table_each_counts_for_itself() {
    let (aws, clock) = stage().await;
    let sandboxes = [(); 2].map(|()| sandbox(&aws, &clock));
    let bucket = BucketId::new(None, "a");
    let fault = Fault::new(UPDATE_ITEM, "ResourceNotFoundException");
    aws.inject(&fault).await.unwrap();
    for sandbox in &sandboxes {
        let mut taken = 0;
        for _ in 0..50 {
            taken += u32::from(sandbox.take(&bucket, None, 1).await.is_ok());
        }
        // A tenth of a bucket each, since there may be many of them.
        assert_eq!(taken, 4);
    }
    // It is not asked again at once, lest each request wait for it, but it is in time.
    assert_eq!(written(&aws).await, 2);
    aws.clear_faults().await.unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(sandboxes[0].take(&bucket, None, 1).await, Ok(()));
    assert_eq!(written(&aws).await, 3);
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_come_back() {
    let limits = (
        "CALLER_RATE_LIMITS",
        "guest=0.01/3,staff=unlimited,*=0.01/6",
    );
    let stage = DoorStage::with(&[limits]).await;
    let jwt =
        |subject: &str, plan: &str| token(&["admin"], &json!({ "sub": subject, "plan": plan }));
    let statuses = async |jwt: &str, tries: usize| {
        let mut statuses = Vec::new();
        for _ in 0..tries {
            let asked = request("GET", "/api/", Some(jwt), None);
            statuses.push(stage.ask(&asked).await.0);
        }
        statuses
    };
    assert_eq!(statuses(&jwt("a", "guest"), 4).await, [200, 200, 200, 429]);
    // A second caller, and the first one on another plan.
    assert_eq!(statuses(&jwt("b", "guest"), 1).await, [200]);
    assert_eq!(statuses(&jwt("a", "staff"), 9).await, [200; 9]);
    let asked = request("GET", "/api/", Some(&jwt("a", "guest")), None);
    let answer = super::router::raw(&stage, &asked).await;
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem(&body), "rate-limited");
    let wait: u64 = super::router::header(&answer, "retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((90..=100).contains(&wait), "{wait}");

    // Of a batch each command counts, and none of one that is too much is run.
    let ping = json!({ "type": "ping" });
    let batch = |jwt: &str, count: usize| {
        let body = json!({ "commands": vec![ping.clone(); count] });
        request("POST", "/commands", Some(jwt), Some(&body))
    };
    let jwt = jwt("c", "other");
    assert_eq!(stage.ask(&batch(&jwt, 4)).await.0, 200);
    let executed = stage.home.counters().commands;
    assert_eq!(stage.ask(&batch(&jwt, 4)).await.0, 429);
    assert_eq!(stage.home.counters().commands, executed);
    assert_eq!(stage.ask(&run(Some(&jwt), &ping)).await.0, 200);
}

/// A batch of more than a plan allows at once is allowed when nothing else was asked.
#[tokio::test]
async fn a_batch_may_take_all_there_is() {
    let stage = DoorStage::with(&[("CALLER_RATE_LIMITS", "*=0.01/5")]).await;
    let ping = json!({ "type": "ping" });
    let jwt = token(&["admin"], &json!({}));
    let body = json!({ "commands": vec![ping; 9] });
    let asked = request("POST", "/commands", Some(&jwt), Some(&body));
    assert_eq!(stage.ask(&asked).await.0, 200);
    assert_eq!(stage.ask(&asked).await.0, 429);
    // What cannot be read counts as well.
    let jwt = token(&["admin"], &json!({ "sub": "other" }));
    let asked = request("POST", "/commands", Some(&jwt), Some(&json!([])));
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(stage.ask(&asked).await.0);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429]);
}

#[tokio::test]
async fn health_is_for_anyone_at_any_rate() {
    let stage: DoorStage = DoorStage::with(&[("CALLER_RATE_LIMITS", "*=0.01/1")]).await;
    for _ in 0..5 {
        let (status, _) = stage.ask(&request("GET", "/health", None, None)).await;
        assert_eq!(status, 200);
    }
}
