//! Token and home together: commands are run, and a rejected token is replaced once.
//!
//! The rules that keep a house safe are here:
//!
//! * A token is proven at the REST API before it crosses a WebSocket, and a token that was rejected, on either, is
//!   reported to the [`TokenService`], which never hands it out again.
//! * After a rejection the parameter is read once more. Only another token is presented; the same one is an error.
//! * Only what provably did not reach the home is tried again.

mod breaker;
mod error;
mod health;
mod prover;
mod rest;
mod retry;
mod upkeep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use breaker::{Breaker, News};
pub use error::BridgeError;
use health::Facts;
pub use health::{Finding, Health, SessionHealth, Status, TokenHealth, Warmth};
use prover::Prover;
pub use retry::Retry;
use retry::Waits;

use crate::base::ambient::Ambient;
use crate::base::clock::{Clock, Deadline};
use crate::base::lock::Lock;
use crate::base::metrics::{Meter, Metric};
use crate::base::random::Random;
use crate::base::secret::{AccessToken, Fingerprint};
use crate::home::home_assistant::{
    Checkout, Command, Connection, FRESH, HomeError, Outcome, Session, Sieve,
};
use crate::home::token::{TokenError, TokenFacts, TokenService};
use crate::home::verdict::Verdicts;

/// Runs commands in one home.
pub struct Bridge {
    prover: Arc<Prover>,
    retry: Retry,
    clock: Arc<dyn Clock>,
    random: Random,
    breaker: Lock<Breaker<HomeError>>,
    finding: Lock<Option<Finding>>,
    /// How many tokens had been fetched when the last keep-warm event or command was done.
    seen_fetches: AtomicU64,
}

impl Bridge {
    /// A bridge over a token service and a session. `verdicts` shares verdicts with other execution environments.
    /// Failed connections are retried as [`Retry::default`] says, with random jitter.
    pub fn new(
        tokens: TokenService,
        session: Session,
        verdicts: Option<Verdicts>,
        ambient: Ambient,
    ) -> Self {
        let (clock, random) = (ambient.clock.clone(), ambient.random.clone());
        Self {
            prover: Arc::new(Prover::new(tokens, session, verdicts, ambient)),
            retry: Retry::default(),
            clock,
            random,
            breaker: Lock::default(),
            finding: Lock::default(),
            seen_fetches: AtomicU64::new(0),
        }
    }

    /// The same bridge with other retries.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Runs a batch of commands. `Err` means that none of them reached the home.
    pub async fn run(
        &self,
        commands: &[Command],
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, BridgeError> {
        self.run_sifted(commands, None, deadline).await
    }

    /// Runs a batch of commands whose answers are looked at by `sieve` as they come. `Err` means that none of the
    /// commands reached the home.
    pub async fn run_sifted(
        &self,
        commands: &[Command],
        sieve: Option<&Arc<Sieve>>,
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, BridgeError> {
        let delays = self.admit()?;
        let outcome = self
            .with_connection(deadline, delays, |checkout| async move {
                let prover = &self.prover;
                let started = self.clock.now();
                let executed =
                    prover
                        .session
                        .execute(&checkout.connection, commands, sieve, deadline);
                let outcomes = executed.await?;
                let latency = self.clock.now().since(started);
                prover.meter.record(Metric::CommandLatency(latency));
                prover.meter.record(Metric::SessionReused(checkout.reused));
                Ok(outcomes)
            })
            .await;
        self.note_fetches();
        outcome
    }

    /// Begins what the first command will need, once and without trying again.
    pub async fn warm_up(&self, deadline: Deadline) {
        let attempt = self.attempt(deadline, |checkout| async move {
            self.ready(&checkout.connection, deadline).await
        });
        if let Err((error, _)) = attempt.await {
            tracing::debug!(error = %error, "not warm yet");
        }
    }

    /// Makes token and session ready for the next command, and says how they are. A home that is down is asked once,
    /// whatever the breaker says: nobody waits for it, and the next event is minutes away.
    pub async fn keep_warm(&self, deadline: Deadline) -> Warmth {
        let refreshed = self.refresh(deadline).await;
        let delays = std::iter::empty();
        let outcome = match &refreshed {
            // Nothing is left to go on with, and to ask once more would bring no more.
            Err(error) if self.prover.tokens.cached().is_none() => Err(error.clone()),
            _ => {
                let renewed = self.with_connection(deadline, delays, |checkout| {
                    self.renew(checkout.connection, deadline)
                });
                renewed.await
            }
        };
        Warmth {
            valid: match &outcome {
                Ok(()) => Some(true),
                Err(
                    BridgeError::Home(HomeError::Rejected)
                    | BridgeError::Token(TokenError::Rejected { .. } | TokenError::Expired { .. }),
                ) => Some(false),
                // The home has said so, though the parameter could not be read again since.
                Err(_) if self.prover.tokens.has_rejected_the_last() => Some(false),
                Err(BridgeError::Home(_) | BridgeError::Token(_)) => None,
            },
            refreshed: self.note_fetches(),
            token: self.prover.tokens.facts(),
            session: self.prover.session.state(),
            // That the token could not be read again is worth telling, also while the one in memory is still good.
            error: outcome.and(refreshed).err(),
        }
    }

    /// Takes a token that is known to have changed, and says how things are then.
    pub async fn token_changed(&self, deadline: Deadline) -> Warmth {
        self.prover.tokens.expire();
        self.prover.forget_proof();
        self.keep_warm(deadline).await
    }

    /// Proves a token that is not in use yet.
    pub async fn try_out(
        &self,
        token: &AccessToken,
        deadline: Deadline,
    ) -> Result<(), BridgeError> {
        Ok(self.prover.session.try_out(token, deadline).await?)
    }

    /// Makes sure that a token which is about to be revoked is presented by nobody any more, here or elsewhere.
    pub async fn retire(&self, fingerprint: Fingerprint, version: i64) {
        self.prover.retire(fingerprint, version).await;
    }

    /// Which token is in use, without asking anybody.
    pub fn token(&self) -> Option<TokenFacts> {
        self.prover.tokens.facts()
    }

    /// Where values measured go.
    pub fn meter(&self) -> &Meter {
        &self.prover.meter
    }

    /// Reads settings that are known to have changed before the next connection.
    pub async fn settings_changed(&self) {
        self.prover.session.close().await;
    }

    /// How everything is, from what is known already.
    pub fn health(&self) -> Health {
        let now = self.clock.now();
        let prover = &self.prover;
        let facts = Facts {
            finding: self.finding.lock().clone(),
            token: prover.tokens.facts(),
            state: prover.session.state(),
            report: prover.session.report(),
            breaker: self.breaker.lock().name(),
        };
        Health::new(facts, now)
    }

    /// Lets go of everything that must not be in a snapshot of this process: token and connections.
    pub async fn suspend(&self) {
        self.prover.clear().await;
    }

    /// Whether tokens were fetched since this was last asked.
    fn note_fetches(&self) -> bool {
        let fetches = self.prover.tokens.fetches();
        self.seen_fetches.swap(fetches, Ordering::Relaxed) < fetches
    }

    /// Proves a connection that was there before, and gives it up if the token has been replaced meanwhile.
    async fn renew(&self, connection: Connection, deadline: Deadline) -> Result<(), BridgeError> {
        self.ready(&connection, deadline).await?;
        let fingerprint = connection.fingerprint();
        let is_replaced = self
            .prover
            .tokens
            .cached()
            .is_some_and(|current| current != fingerprint);
        if !is_replaced && self.prover.is_proven(fingerprint, FRESH) {
            return Ok(());
        }
        // A failure is reported, but the connection stays: it is proof of the token it was opened with.
        let token = self.prover.proven_token(deadline).await?;
        if token.fingerprint() == fingerprint {
            return Ok(());
        }
        self.prover.session.discard(&connection);
        Err(HomeError::Closed.into())
    }

    async fn ready(&self, connection: &Connection, deadline: Deadline) -> Result<(), BridgeError> {
        Ok(self.prover.session.ready(connection, deadline).await?)
    }

    /// Runs `work` on a connection, with all that this module promises about trying again.
    async fn with_connection<T, F>(
        &self,
        deadline: Deadline,
        delays: impl Iterator<Item = Duration>,
        work: impl Fn(Checkout) -> F,
    ) -> Result<T, BridgeError>
    where
        F: Future<Output = Result<T, BridgeError>>,
    {
        let (mut replaced_token, mut replaced_connection) = (false, false);
        let mut waits = Waits::new(delays, self.clock.now());
        let outcome = loop {
            let began = self.clock.now();
            let (error, reused) = match self.attempt(deadline, &work).await {
                Ok(done) => break Ok(done),
                Err(failure) => failure,
            };
            match &error {
                // The token service has been told, so the next attempt has another token or fails for want of one.
                BridgeError::Home(HomeError::Rejected) if !replaced_token => {
                    replaced_token = true;
                }
                // A kept connection had died unnoticed: that says nothing about the home, so no delay.
                BridgeError::Home(HomeError::Closed) if reused && !replaced_connection => {
                    replaced_connection = true;
                }
                BridgeError::Home(transient) if transient.is_transient() => {
                    match waits.next(transient, began, self.clock.now(), deadline) {
                        Some(delay) => {
                            tracing::info!(
                                error = %transient, delay_ms = delay.as_millis(), "trying again"
                            );
                            tokio::time::sleep(delay).await;
                        }
                        None => break Err(error),
                    }
                }
                BridgeError::Home(_) | BridgeError::Token(_) => break Err(error),
            }
        };
        self.learn(&outcome);
        outcome
    }

    /// What the end of a run says of the home, for the breaker and for reports.
    fn learn<T>(&self, outcome: &Result<T, BridgeError>) {
        let now = self.clock.now();
        let news = match outcome {
            Ok(_) => News::Up,
            Err(BridgeError::Home(error)) if error.is_down() => News::Down(error.clone()),
            // A deadline says how much time a caller had, a token where it is stored.
            Err(BridgeError::Home(HomeError::DeadlineExceeded { .. }) | BridgeError::Token(_)) => {
                News::None
            }
            Err(BridgeError::Home(_)) => News::Up,
        };
        self.breaker.lock().report(news, now);
        let outcome = match outcome {
            Ok(_) => Ok(()),
            Err(BridgeError::Home(HomeError::DeadlineExceeded { .. })) => return,
            Err(error) => Err(error.clone()),
        };
        *self.finding.lock() = Some(Finding { outcome, at: now });
    }

    async fn attempt<T, F>(
        &self,
        deadline: Deadline,
        work: impl Fn(Checkout) -> F,
    ) -> Result<T, (BridgeError, bool)>
    where
        F: Future<Output = Result<T, BridgeError>>,
    {
        let rejected = {
            // Weak: the connection belongs to the session, which belongs to the prover.
            let prover = Arc::downgrade(&self.prover);
            move |fingerprint| {
                if let Some(prover) = prover.upgrade() {
                    prover.rejected(fingerprint);
                }
            }
        };
        self.prover.give_up_if_replaced(deadline).await;
        let proven_token = self.prover.proven_token(deadline);
        let checkout = self
            .prover
            .session
            .checkout(deadline, proven_token, rejected)
            .await
            .map_err(|error: BridgeError| (error, false))?;
        let reused = checkout.reused;
        work(checkout).await.map_err(|error| (error, reused))
    }

    /// Lets a run through, with the delays between its attempts, unless the home is known to be down.
    fn admit(&self) -> Result<impl Iterator<Item = Duration> + use<>, HomeError> {
        let is_probe = self.breaker.lock().admit(self.clock.now())?;
        // A probe asks once: while it does, everyone else is turned away.
        Ok(self.delays().take(if is_probe { 0 } else { usize::MAX }))
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        let seed = self.random.u64();
        self.retry.delays(seed)
    }
}
