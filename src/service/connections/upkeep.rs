//! Looks at connections when a deadline comes, and sweeps up what was missed.
//!
//! A connection has one planned look, `due`. A message of the queue comes back at that time. A keep-warm event runs a
//! sweep for late connections. The message or the sweep moves `due` and then does the work, so the work is done once.
//! Only closing does not move `due`: the message and the sweep may both close a connection, which does no harm.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::connection::{Connection, ConnectionId};
use super::deadline::{Look, look};
use super::{ConnectionError, Connections, PostError, whole_milliseconds};
use crate::base::metrics::Metric;

/// The number of connections that one sweep looks at.
const SWEPT: usize = 1_000;

/// The number of connections that a sweep looks at concurrently.
const AT_ONCE: usize = 16;

/// The time by which a message of the queue may be late before the sweep takes its work.
const LATE: Duration = Duration::from_secs(15);

/// The time after `$connect` within which API Gateway may not know the connection yet.
const YOUNG: Duration = Duration::from_secs(30);

const ONE_SECOND: Duration = Duration::from_secs(1);

/// Makes the frame that tells a client about its connection. `None` if this client gets no such frame.
pub(crate) type Frames<'a> = &'a (dyn Fn(&Connection, Look) -> Option<String> + Sync);

/// A message of the queue.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    connection: ConnectionId,
    /// The planned look, in milliseconds since the Unix epoch.
    due_ms: u64,
}

impl Connections {
    /// Handles a message of the queue. A message that is not latchkey's own is ignored.
    pub(crate) async fn wake(
        &self,
        message: &str,
        frames: Frames<'_>,
    ) -> Result<(), ConnectionError> {
        let Ok(message) = serde_json::from_str::<Message>(message) else {
            tracing::warn!(
                category = "connections",
                "the queue returned a message of another sender"
            );
            return Ok(());
        };
        let due = Duration::from_millis(message.due_ms);
        let Some(connection) = self.parts.registry.find(&message.connection).await? else {
            return Ok(());
        };
        // A later message replaces an earlier one.
        if connection.due != due {
            return Ok(());
        }
        if self.now() < due {
            // The delay was longer than the queue allows.
            self.plan(&connection, due).await;
            return Ok(());
        }
        self.look_after(&connection, frames).await
    }

    /// Looks after the connections that are overdue, and counts the open ones.
    pub(crate) async fn sweep(&self, frames: Frames<'_>) -> Result<(), ConnectionError> {
        let late = match self.parts.queue {
            Some(_) => LATE,
            None => Duration::ZERO,
        };
        let overdue = self
            .parts
            .registry
            .overdue(self.now().saturating_sub(late), SWEPT);
        let overdue = overdue.await?;
        let looks = overdue
            .into_iter()
            .map(|connection| async move { self.look_after(&connection, frames).await });
        let looks = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE);
        let outcomes: Vec<_> = looks.collect().await;
        let statistics = self.statistics().await?;
        let active = u32::try_from(statistics.connections).unwrap_or(u32::MAX);
        self.parts.metrics.record(Metric::ConnectionsActive(active));
        outcomes.into_iter().collect()
    }

    async fn look_after(
        &self,
        connection: &Connection,
        frames: Frames<'_>,
    ) -> Result<(), ConnectionError> {
        let (found, next) = look(connection, &self.parts.config, self.now());
        if found.is_end() {
            return self.end_overdue(&connection.address.id, frames).await;
        }
        let frame = frames(connection, found);
        let (id, next) = (&connection.address.id, whole_milliseconds(next));
        let registry = &self.parts.registry;
        if !registry.postpone(id, connection.due, next).await? {
            return Ok(());
        }
        let ((), is_open) = tokio::join!(self.plan(connection, next), self.tell(connection, frame));
        if is_open {
            return Ok(());
        }
        if !self.is_young(connection) {
            return self.forget(id).await;
        }
        // API Gateway accepts no frame before `$connect` has returned.
        let soon = whole_milliseconds(self.now() + ONE_SECOND);
        if soon < next && registry.postpone(id, next, soon).await? {
            self.plan(connection, soon).await;
        }
        Ok(())
    }

    /// Ends a connection whose time is over. Its client may have sent a new token meanwhile, so the row is read again.
    async fn end_overdue(
        &self,
        id: &ConnectionId,
        frames: Frames<'_>,
    ) -> Result<(), ConnectionError> {
        let Some(connection) = self.parts.registry.find(id).await? else {
            return Ok(());
        };
        let (found, _) = look(&connection, &self.parts.config, self.now());
        if found.is_end() {
            self.parts.metrics.record(match found {
                Look::EndUnauthenticated => Metric::AuthTimeout,
                _ => Metric::ReauthFailure,
            });
            let frame = frames(&connection, found);
            self.end(&connection.address, frame).await;
        }
        Ok(())
    }

    /// Removes a connection that API Gateway does not know, unless it is still being opened.
    pub(super) async fn forget_ended(&self, id: &ConnectionId) -> Result<(), ConnectionError> {
        match self.parts.registry.find(id).await? {
            Some(connection) if self.is_young(&connection) => Ok(()),
            _ => self.forget(id).await,
        }
    }

    /// Returns true if API Gateway may not have opened the connection yet.
    fn is_young(&self, connection: &Connection) -> bool {
        self.now() < connection.connected_at + YOUNG
    }

    /// Posts a frame to a connection, or checks the connection without one. Returns false if the connection is gone.
    async fn tell(&self, connection: &Connection, frame: Option<String>) -> bool {
        let address = &connection.address;
        let reached = match frame {
            Some(frame) => self.post(address, frame).await.map(|()| true),
            None => self.parts.gateway.is_open(address).await,
        };
        match reached {
            Ok(is_open) => is_open,
            Err(PostError::Gone) => false,
            Err(error) => {
                tracing::warn!(category = "connections", error = %error, "a connection was not reached");
                true
            }
        }
    }

    /// Plans a look at a connection. If this fails, the sweep finds the connection.
    pub(super) async fn plan(&self, connection: &Connection, due: Duration) {
        let Some(queue) = &self.parts.queue else {
            return;
        };
        let message = Message {
            connection: connection.address.id.clone(),
            due_ms: u64::try_from(due.as_millis()).unwrap_or(u64::MAX),
        };
        // Serialising two plain members never fails.
        let message = serde_json::to_string(&message).unwrap_or_default();
        let sent = queue.send(message, due.saturating_sub(self.now()));
        if let Err(error) = sent.await {
            tracing::warn!(category = "connections", error = %error, "no deadline was planned");
        }
    }
}
