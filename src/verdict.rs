//! Verdicts on tokens, shared by all sandboxes, so that a token gone bad costs the home one failed login and not one from
//! each sandbox.
//!
//! Whoever is about to present a token takes a claim on it first. One sandbox gets the claim and presents; the others wait
//! for what the home says. A rejection stands for as long as the same version of the parameter holds the same token. An
//! acceptance stands for [`ACCEPTED_FOR`]: the token may have been revoked since.
//!
//! The table is an aid and no authority: where it cannot be used, each sandbox presents for itself, as without a table.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

mod shared;

pub use shared::SharedVerdicts;

use crate::clock::{Clock, Timestamp};
use crate::secret::Fingerprint;
use crate::table::TableError;

/// For how long others may present a token without asking, once a home has accepted it.
pub const ACCEPTED_FOR: Duration = Duration::from_secs(2);

/// For how long a verdict is kept. A rejected token that is still stored after that is presented once more.
pub const REJECTED_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long the table may take before it counts as unusable.
const STORE_LIMIT: Duration = Duration::from_secs(1);

/// The first and the longest pause between two looks at another sandbox's claim.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// Whose turn it is to present a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ours, until the claim ends or is settled.
    Ours,
    /// Nobody's: a home has just accepted it.
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
    /// Takes the claim on a token for `claimed_for`, unless another run holds it or the verdict is known.
    fn claim<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
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

impl<T: VerdictStore + ?Sized> VerdictStore for Arc<T> {
    fn claim<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        now: Timestamp,
        claimed_for: Duration,
    ) -> BoxFuture<'a, Result<Turn, TableError>> {
        (**self).claim(pseudonym, run, now, claimed_for)
    }

    fn settle<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        verdict: Verdict,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        (**self).settle(pseudonym, run, verdict, now)
    }
}

/// The verdicts on one home's tokens.
pub struct Verdicts {
    store: Arc<dyn VerdictStore>,
    /// Which home: the same token could be stored for two.
    scope: String,
    /// How long one presentation may take.
    presentation_limit: Duration,
    clock: Arc<dyn Clock>,
    // A std mutex: nothing awaits while it is held.
    random: Mutex<fastrand::Rng>,
}

/// What [`Verdicts::await_turn`] came to.
#[derive(Debug)]
pub enum Standing<'a> {
    /// Present the token, then settle the claim.
    Present(Claim<'a>),
    /// Do not present it: the home has rejected it.
    Rejected,
    /// Do not present it: another sandbox has been at it for longer than any presentation takes.
    Busy,
}

/// The right to present a token, and the duty to say what came of it.
pub struct Claim<'a> {
    verdicts: &'a Verdicts,
    pseudonym: String,
    /// `None` where there is nothing to be settled.
    run: Option<String>,
}

impl std::fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("run", &self.run).finish()
    }
}

impl Verdicts {
    /// Verdicts on the tokens of the home `scope`, each presentation of which ends within `presentation_limit`.
    pub fn new(
        store: Arc<dyn VerdictStore>,
        scope: String,
        presentation_limit: Duration,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        Self {
            store,
            scope,
            presentation_limit,
            clock,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        }
    }

    /// Makes randomness this process's own again.
    pub fn reseed(&self, seed: u64) {
        *self.random.lock().unwrap_or_else(PoisonError::into_inner) =
            fastrand::Rng::with_seed(seed);
    }

    /// Waits until it is clear whether a token may be presented, for no longer than another's presentation can take.
    pub async fn await_turn(&self, fingerprint: Fingerprint, version: Option<i64>) -> Standing<'_> {
        let pseudonym = self.pseudonym(fingerprint, version);
        let run = self.new_run();
        // A claim outlives the presentation it is for; whoever died with one holds the others up no longer than that.
        let claimed_for = self.presentation_limit + STORE_LIMIT;
        let started = self.clock.now();
        let mut pause = FIRST_PAUSE;
        loop {
            let now = self.clock.now();
            let claim = self.store.claim(&pseudonym, &run, now, claimed_for);
            let turn = tokio::time::timeout(STORE_LIMIT, claim)
                .await
                .unwrap_or_else(|_| Err(TableError("no answer in time".into())));
            let run = match turn {
                Ok(Turn::Ours) => Some(run),
                Ok(Turn::Accepted) => None,
                Ok(Turn::Rejected) => return Standing::Rejected,
                Ok(Turn::Taken) if now.since(started) > claimed_for + LONGEST_PAUSE => {
                    return Standing::Busy;
                }
                Ok(Turn::Taken) => {
                    let jitter = self
                        .random
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .f64();
                    tokio::time::sleep(pause.mul_f64(0.5 + jitter / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(category = "verdict", error = %error, "the token is presented unannounced");
                    None
                }
            };
            return Standing::Present(Claim {
                verdicts: self,
                pseudonym,
                run,
            });
        }
    }

    /// Shares a rejection that came without a claim, as on a WebSocket.
    pub async fn share_rejection(&self, fingerprint: Fingerprint, version: Option<i64>) {
        let pseudonym = self.pseudonym(fingerprint, version);
        self.settle(&pseudonym, "", Verdict::Rejected).await;
    }

    async fn settle(&self, pseudonym: &str, run: &str, verdict: Verdict) {
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
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:032x}", random.u128(..))
    }
}

impl Claim<'_> {
    /// Says what came of the presentation.
    pub async fn settle(self, verdict: Verdict) {
        match (self.run, verdict) {
            (Some(run), verdict) => self.verdicts.settle(&self.pseudonym, &run, verdict).await,
            (None, Verdict::Rejected) => {
                self.verdicts
                    .settle(&self.pseudonym, "", Verdict::Rejected)
                    .await;
            }
            (None, Verdict::Accepted | Verdict::Unknown) => {}
        }
    }
}
