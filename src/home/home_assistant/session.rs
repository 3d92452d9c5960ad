//! The session with a home: at most one connection at a time, kept from one invocation to the next.

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

/// A home closes a socket that has not authenticated 10 s after its greeting.
const GREETING_KEEPS: Duration = Duration::from_secs(8);

/// A connection to use now, and whether it was there already.
#[derive(Debug)]
pub struct Checkout {
    /// The connection.
    pub connection: Connection,
    /// Whether its socket was opened earlier, and may have died unnoticed.
    pub reused: bool,
}

/// The session with one home.
pub struct Session {
    target: Target,
    extras: Extras,
    clock: Arc<dyn Clock>,
    // Held while a connection is opened, so that callers who come together share one.
    slot: tokio::sync::Mutex<Slot>,
    report: Lock<Known>,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
}

/// What connections are made with.
struct Link {
    transport: Transport,
    token_check: TokenCheck,
    /// Made when it is first needed: most sandboxes pass no requests on.
    rest_client: OnceCell<RestClient>,
    built_at: Timestamp,
}

/// How old settings must be before a refusal is taken as a sign that they have changed.
const SETTINGS_KEEP: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Slot {
    /// A socket whose home has greeted and waits for a token.
    greeted: Option<Greeted>,
    /// How the last attempt failed to reach the home, if it did.
    failed: Option<HomeError>,
}

impl Session {
    /// A session with no connection yet.
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

    /// What connections are made with, built when it is first needed. A failure is not kept.
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

    /// Presents a token to the home's REST API. `Ok` holds the home's version.
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
        self.doubt_settings(verdict.as_ref().err());
        verdict
    }

    /// Reads the settings that lie in parameters anew next time, if a failure may come from their having changed.
    fn doubt_settings(&self, error: Option<&HomeError>) {
        let is_suspect = matches!(
            error,
            Some(HomeError::EdgeBlocked { .. } | HomeError::Tls { .. } | HomeError::Banned)
        );
        if is_suspect && let Ok(mut link) = self.link.try_lock() {
            let now = self.clock.now();
            link.take_if(|link| now.since(link.built_at) >= SETTINGS_KEEP);
        }
    }

    /// The open connection if it may be used, or a new one.
    ///
    /// A new one is opened while `proven_token` runs, which yields a token that the home has accepted; it crosses the
    /// WebSocket only then. `rejected` is told if the home refuses it there.
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
        // Whoever waited while an attempt failed has waited long enough, and would find the same.
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
        self.doubt_settings(greeted.as_ref().err());
        self.report.lock().report.last_error = greeted.as_ref().err().cloned();
        let connection = match (greeted, token) {
            (Ok(greeted), Ok(token)) => Ok(self.start(greeted, &token, rejected)),
            // Kept for the next token: the home has seen nothing of this one on it.
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

    /// Passes a request on to the home's REST API. `Err` means that it was not carried out.
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
        self.doubt_settings(outcome.as_ref().err());
        outcome
    }

    /// Proves a token that is not in use yet, over REST and on a WebSocket of its own, which ends with it.
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

    /// Closes every connection; the next checkout opens new ones.
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
            // Nobody had a reply meanwhile. Slow or dead cannot be told apart; the next command shall not have to.
            self.discard(connection);
        }
        outcome
    }

    /// Gives a connection up: the next checkout opens a new one, while those who hold it may finish.
    pub fn discard(&self, connection: &Connection) {
        let mut known = self.report.lock();
        known.connection.take_if(|kept| kept.is(connection));
    }

    /// Gives the open connection up.
    pub fn discard_current(&self) {
        self.report.lock().connection = None;
    }

    /// Which token the open connection authenticated with, if it is one that may be used again.
    pub fn usable_fingerprint(&self) -> Option<Fingerprint> {
        let connection = self.report.lock().connection.clone()?;
        let is_stale = freshness(connection.heard(), self.clock.now()) == Freshness::Stale;
        (!connection.is_closed() && !is_stale).then(|| connection.fingerprint())
    }

    /// Which token the open connection authenticated with.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let connection = self.report.lock().connection.clone()?;
        (!connection.is_closed()).then(|| connection.fingerprint())
    }

    /// Where the session stands now.
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

    /// What is known of the session.
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
