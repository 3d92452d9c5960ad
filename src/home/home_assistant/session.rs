//! The session with a home: at most one connection at a time, which later invocations reuse.

mod link;
mod report;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use link::{Link, Links};
use report::Known;
pub use report::{SessionReport, SessionState};

use super::connection::{Connection, ConnectionTerms, Outcome, Sieve, Status};
use super::error::{HomeError, Stage};
use super::extras::Extras;
use super::freshness::{Freshness, PING_TIMEOUT, freshness};
use super::message::Command;
use super::rest_client::{RestCall, RestClient, RestOutcome};
use super::socket::{self, Greeted};
use super::target::Target;
use super::token_check;
use crate::base::clock::{Clock, Deadline, Limit};
use crate::base::config::{HomeAddress, HomeLimits};
use crate::base::lock::Lock;
use crate::base::secret::{AccessToken, Fingerprint};

/// The time that a socket with a greeting can be used. A home closes a socket that has not authenticated 10 s after its
/// greeting.
const GREETING_KEEPS: Duration = Duration::from_secs(8);

/// A connection to use, and whether it was already open.
#[derive(Debug)]
pub struct Checkout {
    /// The connection.
    pub connection: Connection,
    /// True if the socket was opened earlier and may have died unnoticed.
    pub reused: bool,
}

/// The session with one home.
pub struct Session {
    target: Target,
    clock: Arc<dyn Clock>,
    // Locked while a connection is opened, so that concurrent callers share one connection.
    slot: tokio::sync::Mutex<Slot>,
    report: Lock<Known>,
    links: Links,
}

#[derive(Default)]
struct Slot {
    /// A socket on which the home has sent its greeting and waits for a token.
    greeted: Option<Greeted>,
    /// The error of the last attempt, if it failed to reach the home.
    failed: Option<HomeError>,
}

impl Session {
    /// Creates a session without a connection.
    pub fn new(
        address: HomeAddress,
        limits: HomeLimits,
        extras: Extras,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            target: Target { address, limits },
            links: Links::new(extras, clock.clone()),
            clock,
            slot: tokio::sync::Mutex::default(),
            report: Lock::default(),
        }
    }

    async fn link(&self, deadline: Deadline) -> Result<Arc<Link>, HomeError> {
        let limit = deadline.limit(Duration::MAX, self.clock.now());
        self.links.get(&self.target, limit).await
    }

    /// Presents a token to the home's REST API. Returns the home's version.
    pub async fn validate(&self, token: &AccessToken) -> Result<String, HomeError> {
        let timeout = self.target.limits.validate_timeout;
        let link = self
            .link(Deadline::at(self.clock.now().after(timeout)))
            .await?;
        let limit = Limit {
            duration: timeout,
            cut: false,
        };
        let Link {
            transport, pool, ..
        } = &*link;
        let verdict = token_check::validate(&self.target, transport, pool, token, limit).await;
        self.links.reload_after(verdict.as_ref().err());
        verdict
    }

    /// Returns the open connection if it is usable, otherwise a new connection.
    ///
    /// A new connection is opened while `proven_token` runs. `proven_token` returns a token that the home has accepted,
    /// and only then is the token sent on the WebSocket, unless `is_rejected` says that the home has rejected it since.
    /// `rejected` is called if the home rejects the token on the WebSocket.
    pub async fn checkout<E: From<HomeError>>(
        &self,
        deadline: Deadline,
        proven_token: impl Future<Output = Result<Arc<AccessToken>, E>>,
        is_rejected: impl FnOnce(Fingerprint) -> bool,
        rejected: impl FnOnce(Fingerprint) + Send + 'static,
    ) -> Result<Checkout, E> {
        let failures = self.report.lock().failures;
        let limit = deadline.limit(Duration::MAX, self.clock.now());
        let mut slot = tokio::time::timeout(limit.duration, self.slot.lock())
            .await
            .map_err(|_| HomeError::out_of_time(Stage::Queue, limit))?;
        if let Some(connection) = self.usable(deadline).await {
            return Ok(Checkout {
                connection,
                reused: true,
            });
        }
        // This caller has already waited for a failed attempt, and a new attempt would fail in the same way.
        if let Some(error) = &slot.failed
            && self.report.lock().failures > failures
        {
            return Err(error.clone().into());
        }
        let was_kept = slot.greeted.is_some();
        self.begin();
        // On the heap, because a command on an open connection does not need these futures.
        let greeted = Box::pin(self.greeted(slot.greeted.take(), deadline));
        let (greeted, token) = tokio::join!(greeted, Box::pin(proven_token));
        slot.failed = greeted
            .as_ref()
            .err()
            .filter(|error| error.is_down())
            .cloned();
        self.report.lock().failures += u64::from(slot.failed.is_some());
        self.links.reload_after(greeted.as_ref().err());
        self.report.lock().report.last_error = greeted.as_ref().err().cloned();
        let token = token.and_then(|token| match is_rejected(token.fingerprint()) {
            true => Err(HomeError::Rejected.into()),
            false => Ok(token),
        });
        let connection = match (greeted, token) {
            (Ok(greeted), Ok(token)) => Ok(self.start(greeted, &token, rejected)),
            // The socket is kept for the next token, because this token was not sent on it.
            (Ok(greeted), Err(error)) => {
                slot.greeted = Some(greeted);
                Err(error)
            }
            (Err(error), Ok(_)) => Err(error.into()),
            (Err(_), Err(error)) => Err(error),
        };
        let mut known = self.report.lock();
        known.connection = connection.as_ref().ok().cloned();
        connection.map(|connection| Checkout {
            connection,
            reused: was_kept,
        })
    }

    /// Waits until the home has accepted `auth` on a connection.
    pub async fn ready(
        &self,
        connection: &Connection,
        deadline: Deadline,
    ) -> Result<(), HomeError> {
        let limit = deadline.limit(self.target.limits.connect_timeout, self.clock.now());
        connection.ready(limit).await.map(drop)
    }

    /// Forwards a request to the home's REST API. `Err` means that the request was not executed.
    pub async fn rest(
        &self,
        token: &AccessToken,
        call: &RestCall,
        deadline: Deadline,
    ) -> Result<RestOutcome, HomeError> {
        let link = self.link(deadline).await?;
        let limit = deadline.limit(self.target.limits.command_timeout, self.clock.now());
        let client = RestClient {
            target: &self.target,
            transport: &link.transport,
            pool: &link.pool,
        };
        let outcome = client.send(token, call, limit).await;
        self.links.reload_after(outcome.as_ref().err());
        outcome
    }

    /// Validates a token that is not in use yet, over REST and on a separate WebSocket, which is then closed.
    pub async fn try_out(&self, token: &AccessToken, deadline: Deadline) -> Result<(), HomeError> {
        self.validate(token).await?;
        let link = self.link(deadline).await?;
        let limit = deadline.limit(self.target.limits.connect_timeout, self.clock.now());
        let greeted =
            socket::open(&self.target, &link.transport, limit, || self.clock.now()).await?;
        let connection = self.start(greeted, token, drop);
        self.ready(&connection, deadline).await
    }

    fn start(
        &self,
        greeted: Greeted,
        token: &AccessToken,
        rejected: impl FnOnce(Fingerprint) + Send + 'static,
    ) -> Connection {
        let limits = self.target.limits;
        let terms = ConnectionTerms {
            auth_timeout: limits.connect_timeout,
            max_message_bytes: limits.max_message_bytes,
            clock: self.clock.clone(),
        };
        Connection::start(greeted, token, terms, rejected)
    }

    /// Closes all connections. The next checkout opens new connections.
    pub async fn close(&self) {
        let mut slot = self.slot.lock().await;
        slot.greeted = None;
        self.links.clear().await;
        self.report.lock().connection = None;
    }

    /// Runs a batch of commands on a connection. `Err` means that none of them reached the home.
    pub async fn execute(
        &self,
        connection: &Connection,
        commands: &[Command],
        sieve: Option<&Arc<Sieve>>,
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, HomeError> {
        let started = self.clock.now();
        let limit = deadline.limit(self.target.limits.command_timeout, started);
        let outcome = connection.execute(commands, sieve, limit).await;
        let is_late = |error: &HomeError| {
            matches!(
                error,
                HomeError::Timeout { .. } | HomeError::DeadlineExceeded { .. }
            )
        };
        let was_late =
            |outcome: &Outcome| matches!(outcome, Outcome::Unknown(error) if is_late(error));
        let gave_up = match &outcome {
            Ok(outcomes) => outcomes.iter().any(was_late),
            Err(error) => is_late(error),
        };
        let has_replied = connection
            .heard()
            .replied
            .is_some_and(|at| at.monotonic > started.monotonic);
        if gave_up && !has_replied {
            // No caller got a reply in that time. A slow connection cannot be told from a dead connection, so the next
            // command gets a new one.
            self.discard(connection);
            self.links.with_pool(|pool| pool.clear());
        }
        outcome
    }

    /// Discards a connection. The next checkout opens a new connection, and callers that hold this connection may
    /// finish.
    pub fn discard(&self, connection: &Connection) {
        let mut known = self.report.lock();
        known.connection.take_if(|kept| kept.is(connection));
    }

    /// Discards the open connection.
    pub fn discard_current(&self) {
        self.report.lock().connection = None;
    }

    /// Returns the token that the open connection authenticated with, if the connection may be used again.
    pub fn usable_fingerprint(&self) -> Option<Fingerprint> {
        let connection = self.report.lock().connection.clone()?;
        let is_stale = freshness(connection.heard(), self.clock.now()) == Freshness::Stale;
        (!connection.is_closed() && !is_stale).then(|| connection.fingerprint())
    }

    /// Returns the current connection, which may be closed.
    pub fn current(&self) -> Option<Connection> {
        self.report.lock().connection.clone()
    }

    /// Returns true if the connection is closed or too old to be used, and no other connection has replaced it.
    pub fn has_ended(&self) -> bool {
        self.current().is_some() && self.usable_fingerprint().is_none()
    }

    /// Returns true if the connection is open, and the home answered on it recently.
    pub fn is_fresh(&self) -> bool {
        self.current().is_some_and(|connection| {
            let is_fresh = freshness(connection.heard(), self.clock.now()) == Freshness::Fresh;
            is_fresh && !connection.is_closed()
        })
    }

    /// Opens an HTTP connection for later requests, if the session is open and no HTTP connection is.
    pub async fn refill(&self) {
        let mut pool = None;
        self.links.with_pool(|current| pool = Some(current.clone()));
        if let Some(pool) = pool
            && self.usable_fingerprint().is_some()
        {
            pool.refill().await;
        }
    }

    /// Records that the session has ended, so the HTTP connections may be dead as well.
    pub fn doubt(&self) {
        self.links.with_pool(|pool| pool.doubt());
    }

    /// Returns the token that the open connection authenticated with.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let connection = self.report.lock().connection.clone()?;
        (!connection.is_closed()).then(|| connection.fingerprint())
    }

    /// Returns the current state of the session.
    pub fn state(&self) -> SessionState {
        let status = self
            .report
            .lock()
            .connection
            .as_ref()
            .map(Connection::status);
        match status {
            None | Some(Status::Closed(_)) if self.slot.try_lock().is_err() => {
                SessionState::Connecting
            }
            None | Some(Status::Closed(_)) => SessionState::Disconnected,
            Some(Status::Authenticating) => SessionState::Authenticating,
            Some(Status::Ready { .. }) => SessionState::Ready,
        }
    }

    /// Returns the facts about the session.
    pub fn report(&self) -> SessionReport {
        let known = self.report.lock();
        let mut report = known.report.clone();
        if let Some(Status::Ready { version }) = known.connection.as_ref().map(Connection::status) {
            report.home_version = Some(version);
        }
        report
    }

    async fn usable(&self, deadline: Deadline) -> Option<Connection> {
        let connection = self.report.lock().connection.clone()?;
        if connection.is_closed() {
            return None;
        }
        let now = self.clock.now();
        let usable = match freshness(connection.heard(), now) {
            Freshness::Fresh => true,
            Freshness::Doubtful => {
                let limit = deadline.limit(PING_TIMEOUT, now);
                let is_alive = connection.is_alive(limit.duration).await;
                if !is_alive && !connection.is_closed() {
                    // The network path is lost, and the HTTP connections used the same path.
                    self.links.with_pool(|pool| pool.clear());
                }
                is_alive
            }
            Freshness::Stale => false,
        };
        usable.then_some(connection)
    }

    async fn greeted(
        &self,
        kept: Option<Greeted>,
        deadline: Deadline,
    ) -> Result<Greeted, HomeError> {
        let now = self.clock.now();
        if let Some(greeted) = kept.filter(|greeted| now.since(greeted.at) < GREETING_KEEPS) {
            return Ok(greeted);
        }
        let link = self.link(deadline).await?;
        link.pool.open_ahead();
        let limit = deadline.limit(self.target.limits.connect_timeout, self.clock.now());
        socket::open(&self.target, &link.transport, limit, || self.clock.now()).await
    }

    fn begin(&self) {
        let now = self.clock.now();
        let mut known = self.report.lock();
        known.report.last_attempt = Some(now);
        known.report.last_error = None;
        known.report.reconnects = known.attempts;
        known.attempts += 1;
        known.connection = None;
    }
}
