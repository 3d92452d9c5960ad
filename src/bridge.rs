//! Token and home together: commands are run, and a rejected token is replaced once.
//!
//! The rules that keep a house safe are here:
//!
//! * A token is proven at the REST API before it crosses a WebSocket, and a token that was rejected, on either, is
//!   reported to the [`TokenService`], which never hands it out again.
//! * After a rejection the parameter is read once more. Only another token is presented; the same one is an error.
//! * Only what provably did not reach the home is tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder as _;

use crate::clock::{Clock, Deadline, Timestamp};
use crate::home_assistant::{
    Command, Connection, FRESH, HomeError, Outcome, Session, SessionState,
};
use crate::metrics::{Metric, Metrics};
use crate::secret::{AccessToken, Fingerprint};
use crate::token::{SourceError, Token, TokenError, TokenService};

/// Why nothing could be run. No command has reached the home.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// There is no usable token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The home could not be talked to.
    #[error(transparent)]
    Home(#[from] HomeError),
}

/// How failed connections are tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The first delay; each further one is twice as long.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
    /// How many attempts there are in all.
    pub attempts: usize,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            attempts: 5,
        }
    }
}

impl Retry {
    fn delays(self, seed: u64) -> impl Iterator<Item = Duration> {
        backon::ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }
}

/// What a keep-warm event found.
#[derive(Debug)]
pub struct Warmth {
    /// Whether the home accepts the token; `None` if it could not be asked.
    pub valid: Option<bool>,
    /// Whether the token was read from its source for this event: during it, or in INIT before it.
    pub refreshed: bool,
    /// The token now in use.
    pub token: Option<Token>,
    /// Where the session stands.
    pub session: SessionState,
    /// Why not all is well.
    pub error: Option<BridgeError>,
}

/// The last thing that was learned about token and home.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What was learned.
    pub outcome: Result<(), BridgeError>,
    /// When.
    pub at: Timestamp,
}

/// Runs commands in one home.
pub struct Bridge {
    tokens: TokenService,
    session: Session,
    retry: Retry,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    // Std mutexes: nothing awaits while one is held.
    random: Mutex<fastrand::Rng>,
    verdict: Mutex<Option<Verdict>>,
    /// When the home last accepted a token at its REST API, and which.
    proof: Mutex<Option<(Fingerprint, Timestamp)>>,
    /// How many tokens had been fetched when the last keep-warm event or command was done.
    seen_fetches: AtomicU64,
}

impl Bridge {
    /// A bridge over a token service and a session. `seed` starts the jitter of its delays.
    pub fn new(
        tokens: TokenService,
        session: Session,
        retry: Retry,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        seed: u64,
    ) -> Self {
        Self {
            tokens,
            session,
            retry,
            clock,
            metrics,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            verdict: Mutex::default(),
            proof: Mutex::default(),
            seen_fetches: AtomicU64::new(0),
        }
    }

    /// Runs a batch of commands. `Err` means that none of them reached the home.
    pub async fn run(
        &self,
        commands: &[Command],
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, BridgeError> {
        let outcome = self
            .with_connection(deadline, |connection| async move {
                self.session.execute(&connection, commands, deadline).await
            })
            .await;
        self.note_fetches();
        outcome
    }

    /// Begins what the first command will need, once and without trying again.
    pub async fn warm_up(&self, deadline: Deadline) {
        let attempt = self.attempt(deadline, |connection| async move {
            self.session.ready(&connection, deadline).await
        });
        if let Err((error, _)) = attempt.await {
            tracing::debug!(error = %error, "not warm yet");
        }
    }

    /// Makes token and session ready for the next command, and says how they are.
    pub async fn keep_warm(&self, deadline: Deadline) -> Warmth {
        let outcome = self
            .with_connection(deadline, |connection| self.renew(connection, deadline))
            .await;
        Warmth {
            valid: match &outcome {
                Ok(_) => Some(true),
                Err(
                    BridgeError::Home(HomeError::Rejected)
                    | BridgeError::Token(TokenError::Rejected { .. } | TokenError::Expired { .. }),
                ) => Some(false),
                Err(BridgeError::Home(_) | BridgeError::Token(_)) => None,
            },
            refreshed: self.note_fetches(),
            token: self.tokens.cached(),
            session: self.session.state(),
            error: outcome.err(),
        }
    }

    /// The last verdict on token and home, if there was one.
    pub fn verdict(&self) -> Option<Verdict> {
        lock(&self.verdict).clone()
    }

    /// The session, for reports.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether tokens were fetched since this was last asked.
    fn note_fetches(&self) -> bool {
        let fetches = self.tokens.fetches();
        self.seen_fetches.swap(fetches, Ordering::Relaxed) < fetches
    }

    /// Proves a connection that was there before, and gives it up if the token has been replaced meanwhile.
    async fn renew(&self, connection: Connection, deadline: Deadline) -> Result<(), HomeError> {
        self.session.ready(&connection, deadline).await?;
        let proof = *lock(&self.proof);
        if let Some((fingerprint, at)) = proof
            && fingerprint == connection.fingerprint()
            && self.clock.now().since(at) < FRESH
        {
            return Ok(());
        }
        match self.proven_token(deadline).await {
            Ok(token) if token.fingerprint() == connection.fingerprint() => Ok(()),
            Ok(_) => {
                self.session.discard(&connection);
                Err(HomeError::Closed)
            }
            Err(BridgeError::Home(error)) => Err(error),
            // An open connection is proof of its own token, whatever the source says of the next.
            Err(BridgeError::Token(_)) => Ok(()),
        }
    }

    /// Runs `work` on a connection, with all that this module promises about trying again.
    async fn with_connection<T, F>(
        &self,
        deadline: Deadline,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, BridgeError>
    where
        F: Future<Output = Result<T, HomeError>>,
    {
        let seed = lock(&self.random).u64(..);
        let mut delays = self.retry.delays(seed);
        let (mut replaced_token, mut replaced_connection) = (false, false);
        let outcome = loop {
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
                    let remaining = deadline.remaining(self.clock.now());
                    match delays.next().filter(|delay| *delay < remaining) {
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
        *lock(&self.verdict) = Some(Verdict {
            outcome: outcome.as_ref().map(drop).map_err(Clone::clone),
            at: self.clock.now(),
        });
        outcome
    }

    async fn attempt<T, F>(
        &self,
        deadline: Deadline,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, (BridgeError, bool)>
    where
        F: Future<Output = Result<T, HomeError>>,
    {
        let checkout = self
            .session
            .checkout(deadline, self.proven_token(deadline))
            .await
            .map_err(|error: BridgeError| (error, false))?;
        let fingerprint = checkout.connection.fingerprint();
        work(checkout.connection).await.map_err(|error| {
            if error == HomeError::Rejected {
                self.rejected(fingerprint);
            }
            (error.into(), checkout.reused)
        })
    }

    /// The current token, once the home has accepted it.
    async fn proven_token(&self, deadline: Deadline) -> Result<Arc<AccessToken>, BridgeError> {
        let remaining = deadline.remaining(self.clock.now());
        let token = tokio::time::timeout(remaining, self.tokens.current())
            .await
            .map_err(|_| TokenError::Source(SourceError::TimedOut))??;
        let verdict = self.session.validate(&token.access, deadline).await;
        self.metrics
            .record(Metric::HomeReachable(is_reachable(&verdict)));
        match verdict {
            Ok(version) => {
                self.metrics.record(Metric::TokenValid(true));
                *lock(&self.proof) = Some((token.fingerprint(), self.clock.now()));
                tracing::info!(
                    fingerprint = %token.fingerprint(), version = token.version,
                    home_version = version, stage = "validate", "token accepted"
                );
                Ok(token.access)
            }
            Err(error) => {
                if error == HomeError::Rejected {
                    self.rejected(token.fingerprint());
                }
                Err(error.into())
            }
        }
    }

    fn rejected(&self, fingerprint: Fingerprint) {
        self.tokens.reject(fingerprint);
        self.metrics.record(Metric::TokenValid(false));
        tracing::warn!(%fingerprint, category = "token", "the home rejected the token");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while a lock is held, and no state here can be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the home itself answered, if only to say no.
fn is_reachable(verdict: &Result<String, HomeError>) -> bool {
    match verdict {
        Ok(_)
        | Err(
            HomeError::Rejected
            | HomeError::Banned
            | HomeError::ProxyNotTrusted
            | HomeError::Starting
            | HomeError::MessageTooLarge { .. },
        ) => true,
        Err(
            HomeError::EdgeBlocked { .. }
            | HomeError::NotHomeAssistant { .. }
            | HomeError::Tls { .. }
            | HomeError::Dns
            | HomeError::Timeout { .. }
            | HomeError::DeadlineExceeded { .. }
            | HomeError::Unreachable { .. }
            | HomeError::Closed,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home_assistant::Stage;

    #[test]
    fn delays_double_with_jitter_and_end() {
        let retry = Retry {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(3),
            attempts: 5,
        };
        let delays: Vec<Duration> = retry.delays(1).collect();
        assert_eq!(delays.len(), 4);
        for (delay, floor) in delays.iter().zip([1, 2, 3, 3]) {
            let floor = Duration::from_secs(floor);
            assert!(*delay >= floor && *delay <= floor * 2, "{delays:?}");
        }
        assert_ne!(delays, retry.delays(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_step_that_may_have_presented_the_token_is_not_tried_again() {
        assert!(
            !HomeError::Timeout {
                stage: Stage::Validate
            }
            .is_transient()
        );
    }
}
