//! The bridge between callers and one home: runs commands and replaces a rejected token once.
//!
//! The module keeps these safety rules:
//!
//! * A token is validated at the REST API before it is sent on a WebSocket. A token that the home rejects over REST or
//!   on a WebSocket is reported to the [`TokenService`], which returns the token again only as another version.
//! * After a rejection the parameter is read once more. Only a different token is presented. The same token is an
//!   error.
//! * A request is retried only if it was provably not executed, or if it is read-only.

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

/// The error of one attempt.
struct Failure {
    error: BridgeError,
    /// True if the attempt used a connection that was opened earlier and may have died unnoticed.
    reused: bool,
}

/// Runs commands and requests in one home.
pub struct Bridge {
    prover: Arc<Prover>,
    retry: Retry,
    clock: Arc<dyn Clock>,
    random: Random,
    breaker: Lock<Breaker<HomeError>>,
    finding: Lock<Option<Finding>>,
    /// The number of fetched tokens at the last call of `note_fetches`.
    seen_fetches: AtomicU64,
}

impl Bridge {
    /// Creates a bridge from a token service and a session. `verdicts` shares verdicts with other execution
    /// environments. Failed connections are retried as [`Retry::default`] says, with random jitter.
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

    /// Returns the bridge with another retry policy.
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

    /// Runs a batch of commands. `sieve` processes each answer as it arrives. `Err` means that none of the commands
    /// reached the home.
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

    /// Opens the connection that the first command needs, in one attempt without retries.
    pub async fn warm_up(&self, deadline: Deadline) {
        let attempt = self.attempt(deadline, |checkout| async move {
            self.ready(&checkout.connection, deadline).await
        });
        if let Err(Failure { error, .. }) = attempt.await {
            tracing::debug!(error = %error, "the warm-up failed");
        }
    }

    /// Prepares the token and the session for the next command, and reports their state. An unreachable home gets one
    /// attempt even if the breaker is open, because no caller waits and the next event is minutes away.
    pub async fn keep_warm(&self, deadline: Deadline) -> Warmth {
        let refreshed = self.refresh(deadline).await;
        let delays = std::iter::empty();
        let outcome = match &refreshed {
            // No token is cached, and another fetch would fail in the same way.
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
                // The home has rejected the token, even if the parameter could not be read again since then.
                Err(_) if self.prover.tokens.has_rejected_the_last() => Some(false),
                Err(BridgeError::Home(_) | BridgeError::Token(_)) => None,
            },
            refreshed: self.note_fetches(),
            token: self.prover.tokens.facts(),
            session: self.prover.session.state(),
            // A failed refresh is reported even while the cached token is still valid.
            error: outcome.and(refreshed).err(),
        }
    }

    /// Reads a changed token, takes it into use and reports the state after that.
    pub async fn token_changed(&self, deadline: Deadline) -> Warmth {
        self.prover.tokens.expire();
        self.prover.forget_proof();
        self.keep_warm(deadline).await
    }

    /// Validates a token that is not in use yet.
    pub async fn try_out(
        &self,
        token: &AccessToken,
        deadline: Deadline,
    ) -> Result<(), BridgeError> {
        Ok(self.prover.session.try_out(token, deadline).await?)
    }

    /// Marks a token that is about to be revoked as rejected in the shared verdicts, so that no execution environment
    /// presents it again.
    pub async fn retire(&self, fingerprint: Fingerprint, version: i64) {
        self.prover.retire(fingerprint, version).await;
    }

    /// Returns the facts of the last token that was read, without a fetch.
    pub fn token(&self) -> Option<TokenFacts> {
        self.prover.tokens.facts()
    }

    /// Returns the destination of the metrics.
    pub fn meter(&self) -> &Meter {
        &self.prover.meter
    }

    /// Applies changed settings: closes all connections, so that the next connection reads the settings again.
    pub async fn settings_changed(&self) {
        self.prover.session.close().await;
    }

    /// Returns the health from the known facts, without a request.
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

    /// Drops the token and all connections, because they must not be part of a snapshot of this process.
    pub async fn suspend(&self) {
        self.prover.clear().await;
    }

    /// Returns true if a token was fetched since the previous call.
    fn note_fetches(&self) -> bool {
        let fetches = self.prover.tokens.fetches();
        self.seen_fetches.swap(fetches, Ordering::Relaxed) < fetches
    }

    /// Validates the token of an existing connection. Discards the connection if the token has been replaced.
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
        // A failure is returned, but the connection stays open, because it proves the token that it was opened with.
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

    /// Runs `work` on a connection and applies this module's retry rules.
    async fn with_connection<T, F>(
        &self,
        deadline: Deadline,
        delays: impl Iterator<Item = Duration>,
        work: impl Fn(Checkout) -> F,
    ) -> Result<T, BridgeError>
    where
        F: Future<Output = Result<T, BridgeError>>,
    {
        self.with_retries(deadline, delays, || self.attempt(deadline, &work))
            .await
    }

    /// Repeats an attempt as this module's retry rules say.
    async fn with_retries<T, F>(
        &self,
        deadline: Deadline,
        delays: impl Iterator<Item = Duration>,
        attempt: impl Fn() -> F,
    ) -> Result<T, BridgeError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (mut replaced_token, mut replaced_connection) = (false, false);
        let mut waits = Waits::new(delays, self.clock.now());
        let outcome = loop {
            let began = self.clock.now();
            let Failure { error, reused } = match attempt().await {
                Ok(done) => break Ok(done),
                Err(failure) => failure,
            };
            match &error {
                // The token service knows the rejection, so the next attempt has another token or fails without a
                // token.
                BridgeError::Home(HomeError::Rejected) if !replaced_token => {
                    replaced_token = true;
                }
                // A reused connection was already dead. That gives no information about the home, so the retry has no
                // delay.
                BridgeError::Home(HomeError::Closed) if reused && !replaced_connection => {
                    replaced_connection = true;
                }
                BridgeError::Home(transient) if transient.is_transient() => {
                    match waits.next(transient, began, self.clock.now(), deadline) {
                        Some(delay) => {
                            tracing::info!(
                                error = %transient, delay_ms = delay.as_millis(), "connection failed, trying again"
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

    /// Records the result of a run for the breaker and for health reports.
    fn learn<T>(&self, outcome: &Result<T, BridgeError>) {
        let now = self.clock.now();
        let news = match outcome {
            Ok(_) => News::Up,
            Err(BridgeError::Home(error)) if error.is_down() => News::Down(error.clone()),
            // A deadline depends on the caller, and a token error on the token's source. Neither gives information
            // about the home.
            Err(BridgeError::Home(HomeError::DeadlineExceeded { .. }) | BridgeError::Token(_)) => {
                News::Unrelated
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
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, BridgeError>>,
    {
        self.prover.drop_outdated(deadline).await;
        let checkout = self.prover.checkout(deadline).await;
        let checkout = checkout.map_err(|error| Failure {
            error,
            reused: false,
        })?;
        let reused = checkout.reused;
        work(checkout)
            .await
            .map_err(|error| Failure { error, reused })
    }

    /// Admits a run and returns the delays between its attempts. Fails if the breaker knows that the home is down.
    fn admit(&self) -> Result<impl Iterator<Item = Duration> + use<>, HomeError> {
        let is_probe = self.breaker.lock().admit(self.clock.now())?;
        // A probe has one attempt. Meanwhile all other runs are rejected.
        Ok(self.delays().take(if is_probe { 0 } else { usize::MAX }))
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        let seed = self.random.u64();
        self.retry.delays(seed)
    }
}
