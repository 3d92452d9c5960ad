//! The session with a home: at most one connection at a time, which later invocations reuse.

mod freshness;
mod report;

use std::sync::Arc;
use std::time::Duration;

pub use freshness::{FRESH, Freshness, PING_TIMEOUT, STALE, freshness};
use once_cell::sync::OnceCell;
use report::Known;
pub use report::{SessionReport, SessionState};

use super::connection::{Connection, ConnectionTerms, Outcome, Sieve, Status};
use super::error::{HomeError, Stage};
use super::extras::Extras;
use super::message::Command;
use super::rest_client::{RestCall, RestClient, RestOutcome};
use super::socket::{self, Greeted};
use super::target::Target;
use super::token_check::TokenCheck;
use super::transport::Transport;
use crate::base::clock::{Clock, Deadline, Limit, Timestamp};
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
    extras: Extras,
    clock: Arc<dyn Clock>,
    // Locked while a connection is opened, so that concurrent callers share one connection.
    slot: tokio::sync::Mutex<Slot>,
    report: Lock<Known>,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
}

/// The settings and clients that connections are opened with.
struct Link {
    transport: Transport,
    token_check: TokenCheck,
    /// Created at first use, because most execution environments forward no REST requests.
    rest_client: OnceCell<RestClient>,
    built_at: Timestamp,
}

/// The age from which a failure may mean that the settings have changed.
const SETTINGS_MIN_AGE: Duration = Duration::from_secs(60);

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
            extras,
            clock,
            slot: tokio::sync::Mutex::default(),
            report: Lock::default(),
            link: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the link, which is built at first use. A failure is not cached.
    async fn link(&self, deadline: Deadline) -> Result<Arc<Link>, HomeError> {
        let limit = deadline.limit(Duration::MAX, self.clock.now());
        let build = async {
            let mut link = self.link.lock().await;
            if let Some(link) = &*link {
                return Ok(link.clone());
            }
            let transport = Transport::load(&self.extras).await?;
            let token_check = TokenCheck::new(&self.target, &transport)?;
            let built_at = self.clock.now();
            let built = Link {
                transport,
                token_check,
                rest_client: OnceCell::new(),
                built_at,
            };
            Ok(link.insert(Arc::new(built)).clone())
        };
        tokio::time::timeout(limit.duration, build)
            .await
            .unwrap_or_else(|_| Err(HomeError::out_of_time(Stage::Settings, limit)))
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
        let verdict = link.token_check.validate(token, limit).await;
        self.reload_settings_after(verdict.as_ref().err());
        verdict
    }

    /// Discards the link after an error that changed settings can cause. The settings are then read again at the next
    /// use.
    fn reload_settings_after(&self, error: Option<&HomeError>) {
        let is_suspect = matches!(
            error,
            Some(HomeError::EdgeBlocked { .. } | HomeError::Tls { .. } | HomeError::Banned)
        );
        if is_suspect && let Ok(mut link) = self.link.try_lock() {
            let now = self.clock.now();
            link.take_if(|link| now.since(link.built_at) >= SETTINGS_MIN_AGE);
        }
    }

    /// Returns the open connection if it is usable, otherwise a new connection.
    ///
    /// A new connection is opened while `proven_token` runs. `proven_token` returns a token that the home has accepted,
    /// and only then is the token sent on the WebSocket. `rejected` is called if the home rejects the token there.
    pub async fn checkout<E: From<HomeError>>(
        &self,
        deadline: Deadline,
        proven_token: impl Future<Output = Result<Arc<AccessToken>, E>>,
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
        let (greeted, token) =
            tokio::join!(self.greeted(slot.greeted.take(), deadline), proven_token);
        if let Ok(link) = self.link.try_lock()
            && let Some(link) = &*link
        {
            link.token_check.forget_preconnected();
        }
        slot.failed = greeted
            .as_ref()
            .err()
            .filter(|error| error.is_down())
            .cloned();
        self.report.lock().failures += u64::from(slot.failed.is_some());
        self.reload_settings_after(greeted.as_ref().err());
        self.report.lock().report.last_error = greeted.as_ref().err().cloned();
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
        let (target, transport, session) =
            (&self.target, &link.transport, self.report.lock().attempts);
        let rest_client = || RestClient::new(target, transport);
        let rest_client = link.rest_client.get_or_try_init(rest_client)?;
        let sent = rest_client.send(target, transport, session, token, call, limit);
        let outcome = sent.await;
        self.reload_settings_after(outcome.as_ref().err());
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
        *self.link.lock().await = None;
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
                connection.is_alive(limit.duration).await
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
        link.token_check.preconnect().await;
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
