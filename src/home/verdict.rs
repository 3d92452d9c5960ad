//! Token verdicts that all execution environments share. A bad token then costs the home one failed login, and not one
//! login for each execution environment.
//!
//! Before an execution environment presents a token, it claims the token. Only the claim holder presents the token; the
//! others wait for the home's verdict. A rejection is valid as long as the same version of the parameter holds the same
//! token. An acceptance is valid only for the execution environments that waited for it: later, the token may have been
//! revoked.
//!
//! The table is an optimisation. If the table is not usable, each execution environment presents the token itself, as
//! without a table.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

mod shared;

pub use shared::SharedVerdicts;

use crate::base::clock::{Clock, Timestamp};
use crate::base::random::Random;
use crate::base::secret::Fingerprint;
use crate::base::table::TableError;

/// The time that a rejection is kept. A rejected token that is still stored after this time is presented once more.
pub const REJECTED_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The timeout of one table call. The first failed call is retried, because the first call of a cold start is slow: it
/// opens a connection with a share of a processor. After the second failed call the table counts as unusable.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// The first and the longest pause between two checks of another execution environment's claim.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// The result of a claim: who presents the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This run holds the claim until it expires or is settled.
    Ours,
    /// This run must not present the token again: the home accepted the token during the wait.
    Accepted,
    /// The token must not be presented again: the home has rejected it.
    Rejected,
    /// Another execution environment holds the claim and has not settled it yet.
    Taken,
}

/// The outcome of presenting a token to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The home accepted the token.
    Accepted,
    /// The home rejected the token.
    Rejected,
    /// The home gave no verdict.
    Unknown,
}

/// A store of verdicts, with the token's pseudonym as the key.
pub trait VerdictStore: Send + Sync {
    /// Claims a token for the time `claimed_for`. The claim fails if another run holds it, if the token was rejected,
    /// or if the token was accepted after `since`.
    fn claim<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        since: Timestamp,
        now: Timestamp,
        claimed_for: Duration,
    ) -> BoxFuture<'a, Result<Turn, TableError>>;

    /// Writes a verdict. A rejection is always written. Other verdicts are written only if this run holds the claim.
    fn settle<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        verdict: Verdict,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), TableError>>;
}

/// The shared verdicts on the tokens of one home.
pub struct Verdicts {
    /// The store of the verdicts.
    pub store: Arc<dyn VerdictStore>,
    /// The key of the home. The key separates homes that have the same token.
    pub scope: String,
    /// The longest time that presenting a token takes.
    pub presentation_limit: Duration,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The random number generator for run ids and pauses.
    pub random: Random,
}

/// The result of [`Verdicts::await_turn`].
#[derive(Debug)]
pub enum Standing {
    /// The caller presents the token and then settles the claim.
    Present(Claim),
    /// The caller must not present the token: the home has rejected it.
    Rejected,
    /// The caller must not present the token: another execution environment has held the claim for longer than
    /// presenting a token can take.
    Busy,
}

/// The right to present a token. The holder must settle it with the verdict.
#[derive(Debug)]
pub struct Claim {
    pseudonym: String,
    /// The run that holds the claim in the table. `None` if the table holds no claim; then only a rejection is written.
    run: Option<String>,
}

impl Verdicts {
    /// Waits until this execution environment may present the token or must not. The wait ends after the longest time
    /// that another presentation can take.
    pub async fn await_turn(&self, fingerprint: Fingerprint, version: Option<i64>) -> Standing {
        let pseudonym = self.pseudonym(fingerprint, version);
        let run = self.new_run();
        // A claim lasts longer than presenting the token. If the claim holder dies, the others wait only until the
        // claim expires.
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
                .unwrap_or_else(|_| Err(TableError("timed out".into())));
            let is_old = self.clock.now().since(now) > STORE_LIMIT * 2;
            let run = match turn {
                // The execution environment was frozen during the call, so the result is outdated.
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
                // In a cold start, the first call also opens a connection.
                Err(_) if failures == 0 => {
                    failures += 1;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(category = "verdict", error = %error, "the token is presented without a claim");
                    // The claim may have been written, so it is settled like a successful claim.
                    Some(run)
                }
            };
            return Standing::Present(Claim { pseudonym, run });
        }
    }

    /// Writes the verdict of a claim.
    pub async fn settle(&self, claim: Claim, verdict: Verdict) {
        match (claim.run, verdict) {
            (Some(run), verdict) => self.write(&claim.pseudonym, &run, verdict).await,
            (None, Verdict::Rejected) => self.write(&claim.pseudonym, "", verdict).await,
            (None, Verdict::Accepted | Verdict::Unknown) => {}
        }
    }

    /// Writes a rejection that happened without a claim, for example on a WebSocket.
    pub async fn share_rejection(&self, fingerprint: Fingerprint, version: Option<i64>) {
        let pseudonym = self.pseudonym(fingerprint, version);
        self.write(&pseudonym, "", Verdict::Rejected).await;
    }

    async fn write(&self, pseudonym: &str, run: &str, verdict: Verdict) {
        let settled = self.store.settle(pseudonym, run, verdict, self.clock.now());
        let settled = tokio::time::timeout(STORE_LIMIT, settled)
            .await
            .unwrap_or_else(|_| Err(TableError("timed out".into())));
        if let Err(error) = settled {
            tracing::warn!(category = "verdict", error = %error, "the verdict was not written to the table");
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
