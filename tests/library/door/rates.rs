//! Tests of rate limits, in one execution environment and in several that share a table.

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
/// A timeout that is long enough on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(60);
const RATE: Rate = Rate {
    interval: Duration::from_secs(1),
    burst: 40,
};

fn limiter(aws: &AwsEmulator, clock: &Arc<ManualClock>) -> RateLimiter {
    let small = Rate { burst: 5, ..RATE };
    let limits = RateLimits {
        plans: [("small".to_owned(), Some(small))].into(),
        others: Some(RATE),
    };
    let table = Table::new(Client::new(aws.sdk_config()), TABLE.into());
    let clock: Arc<dyn Clock> = clock.clone();
    RateLimiter::new(limits, Some(table), TIMEOUT, clock)
}

async fn table_writes(aws: &AwsEmulator) -> u64 {
    aws.calls_of(UPDATE_ITEM).await.unwrap()
}

async fn stage() -> (AwsEmulator, Arc<ManualClock>) {
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table(TABLE).await.unwrap();
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
    (aws, clock)
}

#[tokio::test]
async fn environments_share_one_bucket() {
    let (aws, clock) = stage().await;
    let sandboxes = [(); 3].map(|()| limiter(&aws, &clock));
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

/// An environment takes a tenth of a bucket in one table write, and takes the next tenth after a response.
#[tokio::test]
async fn known_caller_does_not_wait_for_the_table() {
    let (aws, clock) = stage().await;
    let sandbox = limiter(&aws, &clock);
    let bucket = BucketId::new(None, "a");
    for request in 0..40 {
        let before = table_writes(&aws).await;
        assert_eq!(sandbox.take(&bucket, None, 1).await, Ok(()));
        let expected = before + u64::from(request == 0);
        assert_eq!(table_writes(&aws).await, expected, "request {request}");
        sandbox.replenish(TIMEOUT).await;
    }
    assert_eq!(table_writes(&aws).await, 10);
    let exhausted = sandbox.take(&bucket, None, 1).await.unwrap_err();
    assert_eq!(exhausted.wait, Duration::from_secs(1));
    // The environment knows that the bucket is empty and does not write.
    assert_eq!(table_writes(&aws).await, 10);

    // Even if a tenth of a bucket is only one request, the environment draws the next tenth before the next request.
    let bucket = BucketId::new(None, "b");
    for request in 0..4 {
        let before = table_writes(&aws).await;
        assert_eq!(sandbox.take(&bucket, Some("small"), 1).await, Ok(()));
        let expected = before + u64::from(request == 0);
        assert_eq!(table_writes(&aws).await, expected, "request {request}");
        sandbox.replenish(TIMEOUT).await;
    }
}

/// After a refusal, the environment does not write again until the bucket can hold a request.
#[tokio::test]
async fn refusal_costs_at_most_one_write() {
    let (aws, clock) = stage().await;
    let (first, second) = (limiter(&aws, &clock), limiter(&aws, &clock));
    let bucket = BucketId::new(None, "a");
    for _ in 0..40 {
        assert_eq!(first.take(&bucket, None, 1).await, Ok(()));
    }
    let before = table_writes(&aws).await;
    for _ in 0..5 {
        assert!(second.take(&bucket, None, 1).await.is_err());
        second.replenish(TIMEOUT).await;
    }
    // The environment assumed a full bucket and learned its content with one write.
    assert_eq!(table_writes(&aws).await, before + 1);
    clock.advance(Duration::from_secs(3));
    assert_eq!(second.take(&bucket, None, 3).await, Ok(()));
    assert!(second.take(&bucket, None, 1).await.is_err());
}

/// Concurrent environments reject a request only if the bucket is empty. Together they do not exceed the bucket.
#[tokio::test]
async fn many_new_environments_empty_exactly_one_bucket() {
    let (aws, clock) = stage().await;
    let sandboxes: Vec<RateLimiter> = (0..20).map(|_| limiter(&aws, &clock)).collect();
    let bucket = BucketId::new(None, "a");
    let taken = join_all(sandboxes.iter().map(async |sandbox| {
        let mut taken = 0;
        for _ in 0..4 {
            taken += u32::from(sandbox.take(&bucket, None, 1).await.is_ok());
        }
        taken
    }));
    // Each environment asks for the number of requests that it draws at a time.
    assert_eq!(taken.await.iter().sum::<u32>(), 40);
}

/// The bucket was written under another plan, or by an environment with a wrong clock.
#[tokio::test]
async fn bucket_written_by_a_wrong_clock_is_corrected() {
    let (aws, clock) = stage().await;
    let ahead = Arc::new(ManualClock::at(Duration::from_secs(1_800_100_000)));
    let (wrong, right) = (limiter(&aws, &ahead), limiter(&aws, &clock));
    let bucket = BucketId::new(None, "a");
    assert_eq!(wrong.take(&bucket, None, 1).await, Ok(()));
    let exhausted = right.take(&bucket, None, 1).await.unwrap_err();
    assert_eq!(exhausted.wait, Duration::from_secs(1));
    clock.advance(Duration::from_secs(2));
    assert_eq!(right.take(&bucket, None, 2).await, Ok(()));
}

#[tokio::test]
async fn environment_without_the_table_counts_alone() {
    let (aws, clock) = stage().await;
    let sandboxes = [(); 2].map(|()| limiter(&aws, &clock));
    let bucket = BucketId::new(None, "a");
    let fault = Fault::new(UPDATE_ITEM, "ResourceNotFoundException");
    aws.inject(&fault).await.unwrap();
    for sandbox in &sandboxes {
        let mut taken = 0;
        for _ in 0..50 {
            taken += u32::from(sandbox.take(&bucket, None, 1).await.is_ok());
        }
        // Each environment gives out a tenth of a bucket, because many environments may run.
        assert_eq!(taken, 4);
    }
    // Each request would wait for the failing table, so the environment writes again only after a pause.
    assert_eq!(table_writes(&aws).await, 2);
    aws.clear_faults().await.unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(sandboxes[0].take(&bucket, None, 1).await, Ok(()));
    assert_eq!(table_writes(&aws).await, 3);
}

#[tokio::test]
async fn excess_request_gets_429_and_retry_after() {
    let limits = (
        "CALLER_RATE_LIMITS",
        "guest=0.01/3,staff=unlimited,*=0.01/6",
    );
    let stage = DoorStage::with_variables(&[limits]).await;
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
    // A second caller, and the first caller on another plan.
    assert_eq!(statuses(&jwt("b", "guest"), 1).await, [200]);
    assert_eq!(statuses(&jwt("a", "staff"), 9).await, [200; 9]);
    let asked = request("GET", "/api/", Some(&jwt("a", "guest")), None);
    let answer = super::router::raw_response(&stage, &asked).await;
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem(&body), "rate-limited");
    let wait: u64 = super::router::header(&answer, "retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((90..=100).contains(&wait), "{wait}");

    // Each command of a batch counts. A batch above the limit does not run at all.
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

/// A batch that is larger than the burst is allowed if the bucket is full.
#[tokio::test]
async fn batch_larger_than_the_burst_takes_a_full_bucket() {
    let stage = DoorStage::with_variables(&[("CALLER_RATE_LIMITS", "*=0.01/5")]).await;
    let ping = json!({ "type": "ping" });
    let jwt = token(&["admin"], &json!({}));
    let body = json!({ "commands": vec![ping; 9] });
    let asked = request("POST", "/commands", Some(&jwt), Some(&body));
    assert_eq!(stage.ask(&asked).await.0, 200);
    assert_eq!(stage.ask(&asked).await.0, 429);
    // An unreadable request counts too.
    let jwt = token(&["admin"], &json!({ "sub": "other" }));
    let asked = request("POST", "/commands", Some(&jwt), Some(&json!([])));
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(stage.ask(&asked).await.0);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429]);
}

#[tokio::test]
async fn health_endpoint_is_not_rate_limited() {
    let stage: DoorStage = DoorStage::with_variables(&[("CALLER_RATE_LIMITS", "*=0.01/1")]).await;
    for _ in 0..5 {
        let (status, _) = stage.ask(&request("GET", "/health", None, None)).await;
        assert_eq!(status, 200);
    }
}
