//! Token and home together: commands are run, and a rejected token is replaced once.
//!
//! The rules that keep a house safe are here:
//!
//! * A token is proven at the REST API before it crosses a WebSocket, and a token that was rejected, on either, is
//!   reported to the [`TokenService`], which never hands it out again.
//! * After a rejection the parameter is read once more. Only another token is presented; the same one is an error.
//! * Only what provably did not reach the home is tried again.

mod breaker;
mod prover;
mod retry;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use breaker::{Breaker, News};
use prover::Prover;
pub use retry::Retry;

use crate::clock::{Clock, Deadline, Timestamp};
use crate::home_assistant::{
    Command, Connection, FRESH, HomeError, Outcome, Session, SessionState,
};
use crate::metrics::Metrics;
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
    prover: Arc<Prover>,
    retry: Retry,
    clock: Arc<dyn Clock>,
    // Std mutexes: nothing awaits while one is held.
    random: Mutex<fastrand::Rng>,
    breaker: Mutex<Breaker<HomeError>>,
    verdict: Mutex<Option<Verdict>>,
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
            prover: Arc::new(Prover::new(tokens, session, clock.clone(), metrics)),
            retry,
            clock,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            breaker: Mutex::default(),
            verdict: Mutex::default(),
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
                let session = &self.prover.session;
                Ok(session.execute(&connection, commands, deadline).await?)
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
            token: self.prover.tokens.cached(),
            session: self.prover.session.state(),
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
        self.prover.clear().await;
    }

    /// Makes randomness this process's own again, once many were started from one snapshot.
    pub fn reseed(&self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        self.prover.tokens.reseed(random.u64(..));
        *lock(&self.random) = random;
    }

    /// The session, for reports.
    pub fn session(&self) -> &Session {
        &self.prover.session
    }

    /// Whether tokens were fetched since this was last asked.
    fn note_fetches(&self) -> bool {
        let fetches = self.prover.tokens.fetches();
        self.seen_fetches.swap(fetches, Ordering::Relaxed) < fetches
    }

    /// Proves a connection that was there before, and gives it up if the token has been replaced meanwhile.
    async fn renew(&self, connection: Connection, deadline: Deadline) -> Result<(), BridgeError> {
        self.ready(&connection, deadline).await?;
        if self.prover.is_proven(connection.fingerprint(), FRESH) {
            return Ok(());
        }
        // A failure is reported, but the connection stays: it is proof of the token it was opened with.
        let token = self.prover.proven_token(deadline).await?;
        if token.fingerprint() == connection.fingerprint() {
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
        lock(&self.breaker).report(news, now);
        let outcome = match outcome {
            Ok(_) => Ok(()),
            Err(BridgeError::Home(HomeError::DeadlineExceeded { .. })) => return,
            Err(error) => Err(error.clone()),
        };
        *lock(&self.verdict) = Some(Verdict { outcome, at: now });
    }

    async fn attempt<T, F>(
        &self,
        deadline: Deadline,
        work: impl Fn(Connection) -> F,
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
        let proven_token = self.prover.proven_token(deadline);
        let checkout = self
            .prover
            .session
            .checkout(deadline, proven_token, rejected)
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while a lock is held, and no state here can be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
