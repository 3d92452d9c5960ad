//! The HTTP connections to one home.
//!
//! # Reuse of an open connection
//!
//! A home keeps an idle connection open for an hour, but a device on the way may drop it earlier and tell neither side.
//!
//! | action | condition |
//! |---|---|
//! | use it at once | the home answered on it less than [`FRESH`] ago, and the session has not ended since |
//! | use it only for the token check, while a new connection is being opened | otherwise |
//! | discard it | the home has closed it, or another connection to the home timed out |
//!
//! The token check has no effect in the home, so its connection may turn out to be dead. The check also shows that the
//! connection is alive, and the request after the check uses the same connection.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::task::JoinHandle;

use super::error::{HomeError, Stage};
use super::freshness::{FRESH, PING_TIMEOUT};
use super::http_connection::{HttpConnection, HttpRequest, SendError, classify};
use super::target::Target;
use super::transport::Transport;
use crate::base::clock::{Clock, Timestamp};
use crate::base::lock::Lock;

/// The number of idle connections that are kept.
const MAX_IDLE: usize = 8;

/// A connection that is being opened before a request needs it.
struct Opening {
    task: JoinHandle<Result<HttpConnection, HomeError>>,
    began: Timestamp,
    /// The number of doubts when it began.
    doubts: u64,
}

/// The HTTP connections to one home.
pub(super) struct HttpPool {
    target: Target,
    transport: Arc<Transport>,
    clock: Arc<dyn Clock>,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    /// The connections without a request. The last one was used last.
    idle: Vec<Idle>,
    opening: Option<Opening>,
    /// The number of doubts so far.
    doubts: u64,
}

/// A connection without a request.
struct Idle {
    connection: HttpConnection,
    /// The number of doubts at the last answer.
    doubts: u64,
}

impl Idle {
    /// Returns true if the home answered recently, and nothing suggests that the connection has died since.
    fn is_fresh(&self, doubts: u64, now: Timestamp) -> bool {
        self.doubts == doubts && now.since(self.connection.answered) < FRESH
    }
}

/// A response whose body is still unread, and its connection.
pub(super) struct Exchange {
    pub(super) response: Response<Incoming>,
    pub(super) connection: HttpConnection,
}

impl HttpPool {
    pub(super) fn new(target: Target, transport: Arc<Transport>, clock: Arc<dyn Clock>) -> Self {
        Self {
            target,
            transport,
            clock,
            state: Lock::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Starts to open a connection, unless a fresh connection is idle or a connection is being opened.
    pub(super) fn open_ahead(self: &Arc<Self>) {
        let now = self.now();
        let mut state = self.state.lock();
        self.harvest(&mut state, now);
        let doubts = state.doubts;
        let is_ready = state.idle.iter().any(|idle| idle.is_fresh(doubts, now));
        if !is_ready && state.opening.is_none() {
            state.opening = Some(Opening {
                task: tokio::spawn(self.open(now)),
                began: now,
                doubts,
            });
        }
    }

    /// Opens a connection after an answer, if no connection is open.
    pub(super) async fn refill(&self) {
        let now = self.now();
        let is_empty = {
            let mut state = self.state.lock();
            self.harvest(&mut state, now);
            state.idle.retain(|idle| !idle.connection.is_closed());
            state.idle.is_empty() && state.opening.is_none()
        };
        if is_empty && let Ok(connection) = self.open(now).await {
            self.put(connection);
        }
    }

    /// Takes back a connection whose last response was read completely.
    pub(super) fn put(&self, connection: HttpConnection) {
        let mut state = self.state.lock();
        let doubts = state.doubts;
        state.idle.push(Idle { connection, doubts });
        if state.idle.len() > MAX_IDLE {
            state.idle.remove(0);
        }
    }

    /// Records that the session has ended. Its cause may have ended the idle connections as well.
    pub(super) fn doubt(&self) {
        let now = self.now();
        let mut state = self.state.lock();
        self.harvest(&mut state, now);
        state.doubts += 1;
    }

    /// Discards all idle connections after a timeout.
    pub(super) fn clear(&self) {
        let now = self.now();
        let mut state = self.state.lock();
        self.harvest(&mut state, now);
        state.idle.clear();
    }

    /// Returns a connection that is certainly alive: a fresh idle connection, or a new connection.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<HttpConnection, HomeError> {
        let now = self.now();
        match self.idle(now, Idle::is_fresh).await {
            Some(connection) => Ok(connection),
            None => self.new_connection(now).await,
        }
    }

    /// Returns the connection that is being opened ahead, or opens one.
    pub(super) async fn new_connection(
        self: &Arc<Self>,
        now: Timestamp,
    ) -> Result<HttpConnection, HomeError> {
        let opening = {
            let mut state = self.state.lock();
            let doubts = state.doubts;
            let opening = state.opening.take();
            opening.filter(|opening| self.is_current(opening, doubts, now))
        };
        let opened = match opening {
            Some(opening) => opening.task.await.ok(),
            None => None,
        };
        match opened {
            Some(opened) => opened,
            None => self.open(now).await,
        }
    }

    /// Sends a request that has no effect in the home. Uses an idle connection even if it may be dead, and a new
    /// connection as soon as the idle connection proves to be dead.
    pub(super) async fn ask(
        self: &Arc<Self>,
        request: HttpRequest,
        stage: Stage,
    ) -> Result<Exchange, HomeError> {
        let now = self.now();
        if let Some(connection) = self.idle(now, Idle::is_fresh).await {
            match self.send(connection, request.clone(), stage).await {
                Ok(exchange) => return Ok(exchange),
                // The home may have closed the connection at that moment.
                Err(SendError::NotSent(_) | SendError::Lost(HomeError::Unreachable { .. })) => {}
                Err(SendError::Lost(error)) => return Err(error),
            }
        } else if let Some(connection) = self.idle(now, |_, _, _| true).await
            && let Some(exchange) = self.race(connection, request.clone(), stage).await
        {
            return Ok(exchange);
        }
        let connection = self.connection().await?;
        let sent = self.send(connection, request, stage).await;
        sent.map_err(SendError::into_error)
    }

    /// Sends a request on a connection.
    pub(super) async fn send(
        &self,
        mut connection: HttpConnection,
        request: HttpRequest,
        stage: Stage,
    ) -> Result<Exchange, SendError> {
        let response = connection.send(request, stage, || self.now()).await?;
        Ok(Exchange {
            response,
            connection,
        })
    }

    /// Sends a request on a connection that may be dead, while a new connection is being opened. Returns `None` if the
    /// old connection does not answer in time, as the session's ping.
    async fn race(
        self: &Arc<Self>,
        old: HttpConnection,
        request: HttpRequest,
        stage: Stage,
    ) -> Option<Exchange> {
        self.open_ahead();
        let asked = self.send(old, request, stage);
        tokio::time::timeout(PING_TIMEOUT, asked).await.ok()?.ok()
    }

    /// Returns an idle connection that `suits` and that the home has not closed, as far as the kernel knows. `suits`
    /// gets the number of doubts and the time.
    async fn idle(
        &self,
        now: Timestamp,
        suits: impl Fn(&Idle, u64, Timestamp) -> bool,
    ) -> Option<HttpConnection> {
        loop {
            let connection = {
                let mut state = self.state.lock();
                self.harvest(&mut state, now);
                let doubts = state.doubts;
                let suitable = |idle: &Idle| suits(idle, doubts, now);
                let place = state.idle.iter().rposition(suitable)?;
                state.idle.remove(place).connection
            };
            if connection.is_open().await {
                return Some(connection);
            }
        }
    }

    /// Takes over the connection that was opened ahead. Ends an attempt that is not current.
    fn harvest(&self, state: &mut State, now: Timestamp) {
        let doubts = state.doubts;
        let is_over = |opening: &mut Opening| {
            opening.task.is_finished() || !self.is_current(opening, doubts, now)
        };
        let Some(opening) = state.opening.take_if(is_over) else {
            return;
        };
        opening.task.abort();
        if let Some(Ok(Ok(connection))) = opening.task.now_or_never() {
            // Connections that were used before are preferred.
            let doubts = opening.doubts;
            state.idle.insert(0, Idle { connection, doubts });
        }
    }

    /// Returns false if an attempt to connect is older than its time limit, as after a freeze, or than the last doubt.
    fn is_current(&self, opening: &Opening, doubts: u64, now: Timestamp) -> bool {
        let limit = self.target.limits.connect_timeout;
        now.since(opening.began) < limit && opening.doubts == doubts
    }

    /// Opens a connection. `now` is the time at which the attempt begins.
    fn open(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<HttpConnection, HomeError>> + Send + use<> {
        let (target, transport) = (self.target.clone(), self.transport.clone());
        async move { HttpConnection::open(&target, &transport, now).await }
    }
}

impl Drop for HttpPool {
    fn drop(&mut self) {
        if let Some(opening) = self.state.lock().opening.take() {
            opening.task.abort();
        }
    }
}

/// The body of a response. The pool gets the connection back at the end of the body, or at once if the body is empty.
/// If the body is dropped earlier, the connection is closed.
pub(super) struct HttpBody {
    body: Incoming,
    connection: Option<HttpConnection>,
    pool: Arc<HttpPool>,
}

impl HttpBody {
    pub(super) fn new(body: Incoming, connection: HttpConnection, pool: Arc<HttpPool>) -> Self {
        let mut body = Self {
            body,
            connection: Some(connection),
            pool,
        };
        body.return_at_end();
        body
    }

    /// Returns the connection to the pool if nothing is left to read. A reader that knows the length does not ask for
    /// more.
    fn return_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(connection) = self.connection.take()
        {
            self.pool.put(connection);
        }
    }

    /// Returns the length, if the home sent it.
    pub(super) fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Returns the next part, or `None` at the end. `stage` is the step that an error is reported for.
    pub(super) async fn next(&mut self, stage: Stage) -> Result<Option<Bytes>, HomeError> {
        loop {
            match self.body.frame().await {
                // Trailers have no meaning for a home's responses.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(part) => {
                        self.return_at_end();
                        return Ok(Some(part));
                    }
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.connection = None;
                    return Err(classify(&error, stage));
                }
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.pool.put(connection);
                    }
                    return Ok(None);
                }
            }
        }
    }
}

impl std::fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpBody").finish_non_exhaustive()
    }
}
