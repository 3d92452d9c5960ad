//! Callers' WebSocket connections: their registry, their deadlines, and the way back to them.
//!
//! API Gateway holds the connections. latchkey knows a connection by its id. It keeps one row for each connection in a
//! [`Registry`], posts frames through a [`Gateway`], and wakes up for a connection through a [`DeadlineQueue`].
//!
//! | module | content |
//! |---|---|
//! | `broadcast` | one frame for several connections |
//! | `connection` | one connection and its caller |
//! | `deadline` | the need of a connection at a given time |
//! | `gateway` | posts frames to connections and closes connections |
//! | `parts` | the adapters, selected by the settings |
//! | `queue` | delayed messages: no timer outlives an invocation |
//! | `registry` | the rows: in a table that all execution environments share, or in memory |
//! | `upkeep` | looks at connections when a deadline comes, and sweeps up what was missed |

mod broadcast;
mod connection;
mod deadline;
mod error;
mod gateway;
mod milliseconds;
mod parts;
mod queue;
mod registry;
mod upkeep;

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

pub(crate) use broadcast::{Broadcast, Receivers};
pub use connection::{Address, Connection, ConnectionId, Dialect, Identity, MemberRow};
pub use deadline::Look;
use deadline::first_look;
pub use error::ConnectionError;
pub use gateway::{ApiGateway, Gateway, PostError, SdkSettings};
use parts::Parts;
pub use parts::Surroundings;
pub use queue::{DeadlineQueue, QueueError, SqsQueue};
pub use registry::{
    Authenticated, Joined, MAX_NAME_BYTES, MemoryRegistry, Registry, RegistryError, SharedRegistry,
    Statistics,
};

use crate::base::clock::Timestamp;
use crate::base::config::WebSocketConfig;
use crate::base::lock::Lock;
use crate::base::metrics::Metric;
use crate::service::access::Caller;
use crate::service::rate_limit::{BucketId, Exhausted};

/// The time after which API Gateway has ended every connection (two hours), with a margin. Rows expire after this time.
const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60 + 15 * 60);

/// The time for which an execution environment uses a row without reading it again. A connection whose permissions were
/// reduced by a new authentication keeps the old permissions for at most this long in other execution environments.
const KNOWN_FOR: Duration = Duration::from_secs(10);

/// The delay after the first failed attempt to reach API Gateway. Each further delay is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// The number of connections that an execution environment remembers.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// The open connections of callers.
pub struct Connections {
    parts: Parts,
    known: Lock<LruCache<ConnectionId, (Connection, Timestamp)>>,
    seen: Lock<LruCache<(ConnectionId, String), ()>>,
}

/// A new connection, as API Gateway announces it.
#[derive(Clone, Debug)]
pub(crate) struct Opening<'a> {
    /// The id of the connection.
    pub(crate) id: ConnectionId,
    /// The host to which the client has connected.
    pub(crate) domain: &'a str,
    /// The id of the API.
    pub(crate) api: &'a str,
    /// The stage of the API.
    pub(crate) stage: &'a str,
    /// The address of the client.
    pub(crate) source: &'a str,
}

impl Connections {
    /// Creates the connections of an execution environment.
    pub fn new(config: WebSocketConfig, surroundings: Surroundings) -> Self {
        Self {
            parts: Parts::new(config, surroundings),
            known: Lock::new(LruCache::new(REMEMBERED)),
            seen: Lock::new(LruCache::new(REMEMBERED)),
        }
    }

    /// Returns true if a queue enforces deadlines.
    pub(crate) fn has_queue(&self) -> bool {
        self.parts.queue.is_some()
    }

    /// Returns the way to a connection.
    pub(crate) async fn address(&self, opening: &Opening<'_>) -> Address {
        let gateway = &self.parts.gateway;
        let endpoint = gateway.endpoint(opening.domain, opening.api, opening.stage);
        Address {
            id: opening.id.clone(),
            endpoint: endpoint.await,
        }
    }

    /// Counts an attempt to authenticate from a source address.
    pub(crate) async fn count_attempt(&self, source: &str) -> Result<(), ConnectionError> {
        let bucket = BucketId::of_address(source);
        let taken = self.parts.attempts.take(&bucket, None, 1).await;
        taken.map_err(|Exhausted { wait }| ConnectionError::TooManyAttempts { wait })
    }

    /// Registers a new connection. A connection without a caller must authenticate by its first message.
    pub(crate) async fn open(
        &self,
        opening: &Opening<'_>,
        caller: Option<&Caller>,
    ) -> Result<(), ConnectionError> {
        let now = self.now();
        let parts = &self.parts;
        let identity = caller.map(Identity::from);
        let planned = match (&parts.queue, &identity) {
            // The first message of the queue greets the client.
            (Some(_), None) => now,
            (None, None) => now + parts.config.auth_limit,
            (_, Some(identity)) => first_look(
                now + deadline::CHECK_EVERY,
                identity.expires_at,
                &parts.config,
            ),
        };
        let connection = Connection {
            address: self.address(opening).await,
            connected_at: now,
            dialect: None,
            coalesces: false,
            identity,
            due: whole_milliseconds(planned),
        };
        // First the row: the member and the planned look depend on it.
        parts.registry.open(&connection, now + LIFETIME).await?;
        let (joined, ()) = tokio::join!(
            self.join(&connection),
            self.plan(&connection, connection.due)
        );
        if let Err(error) = joined {
            self.forget(&connection.address.id).await?;
            return Err(error);
        }
        parts.metrics.record(Metric::ConnectionsTotal);
        self.remember(connection);
        Ok(())
    }

    /// Returns a connection, from memory if it was read a moment ago.
    pub(crate) async fn find(
        &self,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, ConnectionError> {
        let now = self.parts.clock.now();
        if let Some((connection, at)) = self.known.lock().get(id)
            && now.since(*at) < KNOWN_FOR
            && let Some(identity) = &connection.identity
            // A newer token may be in the row.
            && now.unix < identity.expires_at
        {
            return Ok(Some(connection.clone()));
        }
        let found = self.parts.registry.find(id).await?;
        if let Some(connection) = &found {
            self.remember(connection.clone());
        }
        Ok(found)
    }

    /// Returns a connection as the last write left it.
    pub(crate) async fn fresh(
        &self,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, ConnectionError> {
        Ok(self.parts.registry.find(id).await?)
    }

    /// Gives a connection its caller, or renews the caller. Returns the connection as it is after that.
    pub(crate) async fn authenticate(
        &self,
        connection: &Connection,
        caller: &Caller,
        dialect: Dialect,
    ) -> Result<Connection, ConnectionError> {
        let parts = &self.parts;
        let identity = Identity::from(caller);
        let due = first_look(connection.due, identity.expires_at, &parts.config);
        let due = whole_milliseconds(due);
        let id = &connection.address.id;
        let expires_at = connection.connected_at + LIFETIME;
        let outcome = parts
            .registry
            .authenticate(id, &identity, Some(dialect), due, expires_at)
            .await?;
        let before = match outcome {
            Authenticated::Done(before) => before,
            Authenticated::OtherPerson => return Err(ConnectionError::OtherPerson),
            Authenticated::Gone => return Err(ConnectionError::Gone),
        };
        let after = Connection {
            identity: Some(identity),
            dialect: Some(dialect),
            due,
            ..(*before).clone()
        };
        if before.identity.is_none() {
            self.join(&after).await?;
        }
        if due != before.due {
            self.plan(&after, due).await;
        }
        self.remember(after.clone());
        Ok(after)
    }

    /// Records facts about the client that a message shows.
    pub(crate) async fn learn(
        &self,
        connection: &Connection,
        dialect: Dialect,
        coalesces: bool,
    ) -> Result<(), ConnectionError> {
        let id = &connection.address.id;
        self.parts.registry.learn(id, dialect, coalesces).await?;
        if connection.dialect != Some(dialect)
            && let Some(member) = connection.member()
        {
            let member = MemberRow {
                dialect: Some(dialect),
                ..member
            };
            let expires_at = connection.connected_at + LIFETIME;
            self.parts.registry.join(&member, expires_at).await?;
        }
        // The age of the remembered row does not change, because its caller was not read again.
        if let Some((known, _)) = self.known.lock().get_mut(id) {
            known.dialect = Some(dialect);
            known.coalesces = coalesces;
        }
        Ok(())
    }

    /// Counts the messages of a frame towards the limit of the connection's plan.
    pub(crate) async fn count_messages(
        &self,
        connection: &Connection,
        count: usize,
    ) -> Result<(), ConnectionError> {
        let plan = connection.plan();
        let bucket = BucketId::of_connection(&connection.address.id.0);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let taken = self.parts.messages.take(&bucket, plan, count).await;
        self.parts.metrics.record(Metric::MessagesReceived);
        taken.map_err(|Exhausted { wait }| ConnectionError::TooManyMessages {
            limit: self.parts.config.limits.of(plan).messages,
            wait,
        })
    }

    /// Records that a connection used a message id. Returns false if it was used before. An id that only reads is
    /// remembered in this execution environment alone, because a read can be repeated without harm.
    pub(crate) async fn claim(
        &self,
        connection: &Connection,
        message: &str,
        only_reads: bool,
    ) -> Result<bool, ConnectionError> {
        let id = &connection.address.id;
        let key = (id.clone(), message.to_owned());
        if self.seen.lock().put(key.clone(), ()).is_some() {
            return Ok(false);
        }
        if only_reads {
            return Ok(true);
        }
        let expires_at = connection.connected_at + LIFETIME;
        let claimed = self.parts.registry.claim(id, message, expires_at).await;
        if claimed.is_err() {
            // The message is refused, so its id is still free.
            self.seen.lock().pop(&key);
        }
        Ok(claimed?)
    }

    /// Posts a frame that answers no message, or one of several answers to a message.
    pub(crate) async fn post(&self, to: &Address, frame: String) -> Result<(), PostError> {
        let posted = self.parts.gateway.post(to, frame).await;
        if posted.is_ok() {
            self.parts.metrics.record(Metric::MessagesSent);
        }
        posted
    }

    /// Posts a last frame, closes the connection and forgets it.
    pub(crate) async fn end(&self, connection: &Address, last: Option<String>) {
        if let Some(frame) = last
            && let Err(error) = self.post(connection, frame).await
        {
            tracing::debug!(error = %error, "the last frame of a connection was not delivered");
        }
        self.known.lock().pop(&connection.id);
        if let Err(error) = self.close(connection).await {
            // Without its row, the connection can do nothing. Its next message tries to close it again.
            tracing::warn!(category = "connections", error = %error, "a connection was not closed");
        }
        if let Err(error) = self.forget(&connection.id).await {
            // The sweep repeats the removal.
            tracing::warn!(category = "connections", error = %error, "a connection was not removed");
        }
    }

    /// Closes a connection, in up to three attempts. Closing it twice does no harm.
    async fn close(&self, connection: &Address) -> Result<(), PostError> {
        let mut delay = FIRST_DELAY;
        loop {
            let closed = self.parts.gateway.close(connection).await;
            if closed.is_ok() || delay > FIRST_DELAY * 2 {
                return closed;
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
    }

    /// Removes a connection that has ended.
    pub(crate) async fn forget(&self, id: &ConnectionId) -> Result<(), ConnectionError> {
        self.known.lock().pop(id);
        self.parts.registry.remove(id).await?;
        Ok(())
    }

    /// Counts the connections.
    pub(crate) async fn statistics(&self) -> Result<Statistics, ConnectionError> {
        Ok(self.parts.registry.statistics().await?)
    }

    /// Adds the member row of an authenticated connection. Fails if a limit of the caller's plan is exceeded.
    async fn join(&self, connection: &Connection) -> Result<(), ConnectionError> {
        let Some((member, identity)) = connection.member().zip(connection.identity.as_ref()) else {
            return Ok(());
        };
        let expires_at = connection.connected_at + LIFETIME;
        let joined = self.parts.registry.join(&member, expires_at).await?;
        let limit = self.parts.config.limits.of(identity.plan.as_deref());
        if joined.of_caller > limit.per_caller {
            return Err(ConnectionError::CallerFull(limit.per_caller));
        }
        // Callers without a tenant do not belong together.
        if identity.tenant.is_some() && joined.of_tenant > limit.per_tenant {
            return Err(ConnectionError::TenantFull(limit.per_tenant));
        }
        Ok(())
    }

    fn remember(&self, connection: Connection) {
        let now = self.parts.clock.now();
        let id = connection.address.id.clone();
        self.known.lock().put(id, (connection, now));
    }

    fn now(&self) -> Duration {
        self.parts.clock.now().unix
    }
}

/// Cuts a time to whole milliseconds, the unit of rows.
fn whole_milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
