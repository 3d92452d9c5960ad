//! The place for verdicts, in a table: whose turn it is, and what a verdict may be written over.

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

/// The store with the time of the test's choice.
struct Desk {
    _aws: AwsEmulator,
    store: SharedVerdicts,
    clock: Arc<ManualClock>,
}

impl Desk {
    async fn set() -> Self {
        let aws = AwsEmulator::start().await.unwrap();
        aws.create_table(TABLE).await.unwrap();
        let table = Table::new(Client::new(aws.sdk_config()), TABLE.to_owned());
        Self {
            _aws: aws,
            store: SharedVerdicts::new(table),
            clock: stopped_clock(),
        }
    }

    /// A claim of one who comes now.
    async fn claim(&self, token: &str, run: &str) -> Turn {
        self.claim_since(token, run, self.clock.now()).await
    }

    /// A claim of one who has waited since then.
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
    let desk = Desk::set().await;
    assert_eq!(desk.claim("token", "one").await, Turn::Ours);
    assert_eq!(desk.claim("token", "two").await, Turn::Taken);
    assert_eq!(
        desk.claim("token", "one").await,
        Turn::Ours,
        "its first answer was lost on the way"
    );
    assert_eq!(desk.claim("another token", "two").await, Turn::Ours);
    // Whoever died with a claim loses it.
    desk.clock.advance(CLAIMED_FOR);
    assert_eq!(desk.claim("token", "two").await, Turn::Taken);
    desk.clock.advance(Duration::from_millis(1));
    assert_eq!(desk.claim("token", "two").await, Turn::Ours);
    assert_eq!(desk.claim("token", "one").await, Turn::Taken);
}

#[tokio::test]
async fn an_acceptance_counts_for_those_who_waited_and_no_answer_for_nobody() {
    let desk = Desk::set().await;
    let waiting_since = desk.clock.now();
    assert_eq!(desk.claim("token", "one").await, Turn::Ours);
    desk.clock.advance(Duration::from_millis(1));
    desk.settle("token", "one", Verdict::Accepted).await;
    desk.clock.advance(Duration::from_millis(1));
    for run in ["two", "three"] {
        let turn = desk.claim_since("token", run, waiting_since).await;
        assert_eq!(turn, Turn::Accepted, "{run}");
    }
    // For whoever comes later it may have been revoked since.
    assert_eq!(desk.claim("token", "four").await, Turn::Ours);
    desk.settle("token", "four", Verdict::Unknown).await;
    assert_eq!(desk.claim("token", "five").await, Turn::Ours);
}

#[tokio::test]
async fn a_rejection_stands_and_outdoes_everything() {
    let desk = Desk::set().await;
    assert_eq!(desk.claim("token", "one").await, Turn::Ours);
    desk.settle("token", "one", Verdict::Rejected).await;
    for late in [Verdict::Accepted, Verdict::Unknown] {
        desk.settle("token", "one", late).await;
        assert_eq!(desk.claim("token", "two").await, Turn::Rejected, "{late:?}");
    }
    desk.clock.advance(REJECTED_FOR);
    assert_eq!(desk.claim("token", "two").await, Turn::Rejected);
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.claim("token", "two").await, Turn::Ours);

    // Over another run's claim, and over an acceptance.
    desk.settle("token", "", Verdict::Rejected).await;
    assert_eq!(desk.claim("token", "three").await, Turn::Rejected);
    assert_eq!(desk.claim("accepted", "one").await, Turn::Ours);
    desk.settle("accepted", "one", Verdict::Accepted).await;
    desk.settle("accepted", "", Verdict::Rejected).await;
    assert_eq!(desk.claim("accepted", "two").await, Turn::Rejected);
}

#[tokio::test]
async fn whoever_lost_a_claim_settles_nothing_but_a_rejection() {
    let desk = Desk::set().await;
    assert_eq!(desk.claim("token", "slow").await, Turn::Ours);
    desk.clock.advance(CLAIMED_FOR + Duration::from_millis(1));
    assert_eq!(desk.claim("token", "next").await, Turn::Ours);
    for late in [Verdict::Accepted, Verdict::Unknown] {
        desk.settle("token", "slow", late).await;
        assert_eq!(desk.claim("token", "third").await, Turn::Taken, "{late:?}");
    }
    desk.settle("token", "slow", Verdict::Rejected).await;
    assert_eq!(desk.claim("token", "third").await, Turn::Rejected);
}

/// A store in which the turn is always another's; a permit is given for each time it was asked.
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
async fn nobody_waits_for_longer_than_a_presentation_can_take() {
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
        // While the time stands still it asks again and again.
        store.0.acquire_many(3).await.unwrap().forget();
        clock.advance(presentation * 2);
    };
    tokio::join!(waiting, passing);
}
