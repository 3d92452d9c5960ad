//! Tests of the verdict table: which run may present a token, and which verdict replaces which record.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use futures_util::future::BoxFuture;
use latchkey::base::clock::{Clock as _, ManualClock, Timestamp};
use latchkey::base::random::Random;
use latchkey::base::secret::AccessToken;
use latchkey::base::table::{Table, TableError};
use latchkey::home::verdict::{
    REJECTED_FOR, SharedVerdicts, Standing, Turn, Verdict, VerdictStore, Verdicts,
};
use latchkey_dev::stack::AwsEmulator;
use testkit::stopped_clock;
use tokio::sync::Semaphore;

use super::TABLE;

const CLAIMED_FOR: Duration = Duration::from_secs(4);

/// A verdict store with a clock that only the test moves.
struct StoreStage {
    _aws: AwsEmulator,
    store: SharedVerdicts,
    clock: Arc<ManualClock>,
}

impl StoreStage {
    async fn start() -> Self {
        let aws = AwsEmulator::start().await.unwrap();
        aws.create_table(TABLE).await.unwrap();
        let table = Table::new(Client::new(aws.sdk_config()), TABLE.to_owned());
        Self {
            _aws: aws,
            store: SharedVerdicts::new(table),
            clock: stopped_clock(),
        }
    }

    /// Claims the turn for a run that starts now.
    async fn claim(&self, token: &str, run: &str) -> Turn {
        self.claim_since(token, run, self.clock.now()).await
    }

    /// Claims the turn for a run that has waited since this time.
    async fn claim_since(&self, token: &str, run: &str, since: Timestamp) -> Turn {
        let now = self.clock.now();
        let claim = self.store.claim(token, run, since, now, CLAIMED_FOR);
        claim.await.unwrap()
    }

    async fn settle(&self, token: &str, run: &str, verdict: Verdict) {
        let settled = self.store.settle(token, run, verdict, self.clock.now());
        settled.await.unwrap();
    }
}

#[tokio::test]
async fn one_run_at_a_time_has_the_turn() {
    let stage = StoreStage::start().await;
    assert_eq!(stage.claim("token", "one").await, Turn::Ours);
    assert_eq!(stage.claim("token", "two").await, Turn::Taken);
    assert_eq!(
        stage.claim("token", "one").await,
        Turn::Ours,
        "run one claims again, because its first response was lost"
    );
    assert_eq!(stage.claim("another token", "two").await, Turn::Ours);
    // The claim of a dead run expires.
    stage.clock.advance(CLAIMED_FOR);
    assert_eq!(stage.claim("token", "two").await, Turn::Taken);
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!(stage.claim("token", "two").await, Turn::Ours);
    assert_eq!(stage.claim("token", "one").await, Turn::Taken);
}

#[tokio::test]
async fn acceptance_counts_only_for_runs_that_waited() {
    let stage = StoreStage::start().await;
    let waiting_since = stage.clock.now();
    assert_eq!(stage.claim("token", "one").await, Turn::Ours);
    stage.clock.advance(Duration::from_millis(1));
    stage.settle("token", "one", Verdict::Accepted).await;
    stage.clock.advance(Duration::from_millis(1));
    for run in ["two", "three"] {
        let turn = stage.claim_since("token", run, waiting_since).await;
        assert_eq!(turn, Turn::Accepted, "{run}");
    }
    // For a later run, the token may have been revoked since.
    assert_eq!(stage.claim("token", "four").await, Turn::Ours);
    stage.settle("token", "four", Verdict::Unknown).await;
    assert_eq!(stage.claim("token", "five").await, Turn::Ours);
}

#[tokio::test]
async fn rejection_stands_and_overrides_other_verdicts() {
    let stage = StoreStage::start().await;
    assert_eq!(stage.claim("token", "one").await, Turn::Ours);
    stage.settle("token", "one", Verdict::Rejected).await;
    for late in [Verdict::Accepted, Verdict::Unknown] {
        stage.settle("token", "one", late).await;
        assert_eq!(
            stage.claim("token", "two").await,
            Turn::Rejected,
            "{late:?}"
        );
    }
    stage.clock.advance(REJECTED_FOR);
    assert_eq!(stage.claim("token", "two").await, Turn::Rejected);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.claim("token", "two").await, Turn::Ours);

    // A rejection overrides the claim of another run, and an acceptance.
    stage.settle("token", "", Verdict::Rejected).await;
    assert_eq!(stage.claim("token", "three").await, Turn::Rejected);
    assert_eq!(stage.claim("accepted", "one").await, Turn::Ours);
    stage.settle("accepted", "one", Verdict::Accepted).await;
    stage.settle("accepted", "", Verdict::Rejected).await;
    assert_eq!(stage.claim("accepted", "two").await, Turn::Rejected);
}

#[tokio::test]
async fn run_without_its_claim_can_only_record_a_rejection() {
    let stage = StoreStage::start().await;
    assert_eq!(stage.claim("token", "slow").await, Turn::Ours);
    stage.clock.advance(CLAIMED_FOR + Duration::from_millis(1));
    assert_eq!(stage.claim("token", "next").await, Turn::Ours);
    for late in [Verdict::Accepted, Verdict::Unknown] {
        stage.settle("token", "slow", late).await;
        assert_eq!(stage.claim("token", "third").await, Turn::Taken, "{late:?}");
    }
    stage.settle("token", "slow", Verdict::Rejected).await;
    assert_eq!(stage.claim("token", "third").await, Turn::Rejected);
}

/// A store in which another run always has the turn. Each claim adds a permit.
struct Taken(Semaphore);

impl VerdictStore for Taken {
    fn claim<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Timestamp,
        _: Timestamp,
        _: Duration,
    ) -> BoxFuture<'a, Result<Turn, TableError>> {
        self.0.add_permits(1);
        Box::pin(std::future::ready(Ok(Turn::Taken)))
    }

    fn settle<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Verdict,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn wait_for_a_verdict_ends_after_the_longest_presentation() {
    let store = Arc::new(Taken(Semaphore::new(0)));
    let clock = stopped_clock();
    let presentation = Duration::from_secs(3);
    let verdicts = Verdicts {
        store: store.clone(),
        scope: "home".to_owned(),
        presentation_limit: presentation,
        clock: clock.clone(),
        random: Random::seeded(7),
    };
    let fingerprint = AccessToken::new("token".into()).fingerprint();
    let waiting = async {
        let standing = verdicts.await_turn(fingerprint, Some(1)).await;
        assert!(matches!(standing, Standing::Busy), "{standing:?}");
    };
    let passing = async {
        // While the clock stands still, the waiting run claims again and again.
        store.0.acquire_many(3).await.unwrap().forget();
        clock.advance(presentation * 2);
    };
    tokio::join!(waiting, passing);
}
