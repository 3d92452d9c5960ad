//! Verdicts on tokens, shared by all sandboxes, so that a token gone bad costs the home one failed login and not one
//! from each sandbox.
//!
//! Whoever is about to present a token takes a claim on it first. One sandbox gets the claim and presents; the others
//! wait for what the home says. A rejection stands for as long as the same version of the parameter holds the same
//! token. An acceptance counts only for those who were waiting for it: for anybody later the token may have been
//! revoked since.
//!
//! The table is an aid and no authority: where it cannot be used, each sandbox presents for itself, as without a table.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

mod shared;

pub use shared::SharedVerdicts;

use crate::base::clock::{Clock, Timestamp};
use crate::base::random::Random;
use crate::base::secret::Fingerprint;
use crate::base::table::TableError;

/// For how long a verdict is kept. A rejected token that is still stored after that is presented once more.
pub const REJECTED_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long the table may take, twice, before it counts as unusable: in a cold start, with a share of a processor, the
/// first call takes its time.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// The first and the longest pause between two looks at another sandbox's claim.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// Whose turn it is to present a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ours, until the claim ends or is settled.
    Ours,
    /// Nobody's: the home has accepted it while we waited.
    Accepted,
    /// Nobody's ever again: the home has rejected it.
    Rejected,
    /// Another sandbox's, which has not settled it yet.
    Taken,
}

/// What came of a presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The home accepted the token.
    Accepted,
    /// The home rejected it.
    Rejected,
    /// The home did not say.
    Unknown,
}

/// A place that keeps verdicts by a token's pseudonym.
pub trait VerdictStore: Send + Sync {
    /// Takes the claim on a token for `claimed_for`, unless another run holds it, the token was rejected, or accepted
    /// since `since`.
    fn claim<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        since: Timestamp,
        now: Timestamp,
        claimed_for: Duration,
    ) -> BoxFuture<'a, Result<Turn, TableError>>;

    /// Writes a verdict. Anything but a rejection is written only over this run's own claim.
    fn settle<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        verdict: Verdict,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), TableError>>;
}

/// The verdicts on one home's tokens.
pub struct Verdicts {
    /// Where verdicts are kept.
    pub store: Arc<dyn VerdictStore>,
    /// The home. The same token could be stored for two.
    pub scope: String,
    /// The longest time that one presentation takes.
    pub presentation_limit: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness of run ids and pauses.
    pub random: Random,
}

/// What [`Verdicts::await_turn`] came to.
#[derive(Debug)]
pub enum Standing {
    /// Present the token, then settle the claim.
    Present(Claim),
    /// Do not present it: the home has rejected it.
    Rejected,
    /// Do not present it: another sandbox has been at it for longer than any presentation takes.
    Busy,
}

/// The right to present a token, and the duty to say what came of it.
#[derive(Debug)]
pub struct Claim {
    pseudonym: String,
    /// `None` where only a rejection is worth telling.
    run: Option<String>,
}

impl Verdicts {
    /// Waits until it is clear whether a token may be presented, for no longer than another's presentation can take.
    pub async fn await_turn(&self, fingerprint: Fingerprint, version: Option<i64>) -> Standing {
        let pseudonym = self.pseudonym(fingerprint, version);
        let run = self.new_run();
        // A claim outlives the presentation it is for; whoever died with one holds the others up no longer than that.
        let claimed_for = self.presentation_limit + STORE_LIMIT;
        let started = self.clock.now();
        let (mut pause, mut failures) = (FIRST_PAUSE, 0);
        loop {
            let now = self.clock.now();
            let claim = self
                .store
                .claim(&pseudonym, &run, started, now, claimed_for);
            let turn = tokio::time::timeout(STORE_LIMIT, claim)
                .await
                .unwrap_or_else(|_| Err(TableError("no answer in time".into())));
            let is_old = self.clock.now().since(now) > STORE_LIMIT * 2;
            let run = match turn {
                // The sandbox was frozen meanwhile: whatever this says, it is not so any more.
                Ok(_) if is_old => continue,
                Ok(Turn::Ours) => Some(run),
                Ok(Turn::Accepted) => None,
                Ok(Turn::Rejected) => return Standing::Rejected,
                Ok(Turn::Taken) if now.since(started) > claimed_for + LONGEST_PAUSE => {
                    return Standing::Busy;
                }
                Ok(Turn::Taken) => {
                    let jitter = self.random.f64();
                    tokio::time::sleep(pause.mul_f64(0.5 + jitter / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                // In a cold start the first call has a connection to make.
                Err(_) if failures == 0 => {
                    failures += 1;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(category = "verdict", error = %error, "the token is presented unannounced");
                    // The claim may have been written: it is settled like any other.
                    Some(run)
                }
            };
            return Standing::Present(Claim { pseudonym, run });
        }
    }

    /// Says what came of a presentation.
    pub async fn settle(&self, claim: Claim, verdict: Verdict) {
        match (claim.run, verdict) {
            (Some(run), verdict) => self.write(&claim.pseudonym, &run, verdict).await,
            (None, Verdict::Rejected) => self.write(&claim.pseudonym, "", verdict).await,
            (None, Verdict::Accepted | Verdict::Unknown) => {}
        }
    }

    /// Shares a rejection that came without a claim, as on a WebSocket.
    pub async fn share_rejection(&self, fingerprint: Fingerprint, version: Option<i64>) {
        let pseudonym = self.pseudonym(fingerprint, version);
        self.write(&pseudonym, "", Verdict::Rejected).await;
    }

    async fn write(&self, pseudonym: &str, run: &str, verdict: Verdict) {
        let settled = self.store.settle(pseudonym, run, verdict, self.clock.now());
        let settled = tokio::time::timeout(STORE_LIMIT, settled)
            .await
            .unwrap_or_else(|_| Err(TableError("no answer in time".into())));
        if let Err(error) = settled {
            tracing::warn!(category = "verdict", error = %error, "a verdict was not shared");
        }
    }

    fn pseudonym(&self, fingerprint: Fingerprint, version: Option<i64>) -> String {
        let version = version.map_or_else(String::new, |version| version.to_string());
        fingerprint.pseudonym(&["verdict", &self.scope, &version])
    }

    fn new_run(&self) -> String {
        self.random.id()
    }
}
