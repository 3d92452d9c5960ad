//! Token and home together: commands are run, and a rejected token is replaced once.
//!
//! The rules that keep a house safe are here:
//!
//! * A token is proven at the REST API before it crosses a WebSocket, and a token that was rejected, on either, is
//!   reported to the [`TokenService`], which never hands it out again.
//! * After a rejection the parameter is read once more. Only another token is presented; the same one is an error.
//! * Only what provably did not reach the home is tried again.

mod breaker;
mod retry;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use breaker::Breaker;
pub use retry::Retry;

use crate::clock::{Clock, Deadline, Timestamp};
use crate::home_assistant::{
    Command, Connection, FRESH, HomeError, Outcome, Session, SessionState,
};
use crate::metrics::{Metric, Metrics};
use crate::secret::{AccessToken, Fingerprint};
use crate::source::SourceError;
use crate::token::{Token, TokenError, TokenService};

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
    breaker: Mutex<Breaker<HomeError>>,
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
            breaker: Mutex::default(),
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
        let is_probe = lock(&self.breaker).admit(self.clock.now())?;
        // A probe asks once: while it does, everyone else is turned away.
        let delays = self.delays().take(if is_probe { 0 } else { usize::MAX });
        let outcome = self
            .with_connection(deadline, delays, |connection| async move {
                let outcome = self.session.execute(&connection, commands, deadline).await;
                outcome.map_err(|error| self.failed_on(&connection, error))
            })
            .await;
        self.note_fetches();
        outcome
    }

    /// Begins what the first command will need, once and without trying again.
    pub async fn warm_up(&self, deadline: Deadline) {
        let attempt = self.attempt(deadline, |connection| async move {
            self.ready(&connection, deadline).await
        });
        if let Err((error, _)) = attempt.await {
            tracing::debug!(error = %error, "not warm yet");
        }
    }

    /// Makes token and session ready for the next command, and says how they are.
    pub async fn keep_warm(&self, deadline: Deadline) -> Warmth {
        let outcome = self
            .with_connection(deadline, self.delays(), |connection| {
                self.renew(connection, deadline)
            })
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

    /// The circuit breaker's state, for reports.
    pub fn breaker(&self) -> &'static str {
        lock(&self.breaker).name()
    }

    /// Lets go of everything that must not be in a snapshot of this process: token and connections.
    pub async fn suspend(&self) {
        self.tokens.clear();
        self.session.close().await;
        *lock(&self.proof) = None;
    }

    /// Makes randomness this process's own again, once many were started from one snapshot.
    pub fn reseed(&self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        self.tokens.reseed(random.u64(..));
        *lock(&self.random) = random;
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
    async fn renew(&self, connection: Connection, deadline: Deadline) -> Result<(), BridgeError> {
        self.ready(&connection, deadline).await?;
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
                Err(HomeError::Closed.into())
            }
            // An open connection is proof of its own token, whatever the source says of the next.
            Err(BridgeError::Token(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn ready(&self, connection: &Connection, deadline: Deadline) -> Result<(), BridgeError> {
        let ready = self.session.ready(connection, deadline).await;
        ready
            .map(drop)
            .map_err(|error| self.failed_on(connection, error))
    }

    /// Notes what a failure on a connection says of the token it was opened with.
    fn failed_on(&self, connection: &Connection, error: HomeError) -> BridgeError {
        if error == HomeError::Rejected {
            self.rejected(connection.fingerprint());
        }
        error.into()
    }

    /// Runs `work` on a connection, with all that this module promises about trying again.
    async fn with_connection<T, F>(
        &self,
        deadline: Deadline,
        mut delays: impl Iterator<Item = Duration>,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, BridgeError>
    where
        F: Future<Output = Result<T, BridgeError>>,
    {
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
        let now = self.clock.now();
        let down = match &outcome {
            Err(BridgeError::Home(error)) if error.is_down() => Some(error.clone()),
            _ => None,
        };
        lock(&self.breaker).report(down, now);
        *lock(&self.verdict) = Some(Verdict {
            outcome: outcome.as_ref().map(drop).map_err(Clone::clone),
            at: now,
        });
        outcome
    }

    async fn attempt<T, F>(
        &self,
        deadline: Deadline,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, (BridgeError, bool)>
    where
        F: Future<Output = Result<T, BridgeError>>,
    {
        let checkout = self
            .session
            .checkout(deadline, self.proven_token(deadline))
            .await
            .map_err(|error: BridgeError| (error, false))?;
        work(checkout.connection)
            .await
            .map_err(|error| (error, checkout.reused))
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        let seed = lock(&self.random).u64(..);
        self.retry.delays(seed)
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
            | HomeError::SettingUnavailable { .. }
            | HomeError::SettingInvalid { .. }
            | HomeError::Dns
            | HomeError::Timeout { .. }
            | HomeError::DeadlineExceeded { .. }
            | HomeError::Unreachable { .. }
            | HomeError::Closed,
        ) => false,
    }
}
