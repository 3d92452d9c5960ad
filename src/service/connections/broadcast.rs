//! Broadcasts: one frame to all connections of a tenant, to those of a user, or to the watchers of a resource.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::connection::{Address, Connection, Dialect, MemberRow};
use super::{ConnectionError, Connections, FIRST_DELAY, LIFETIME, PostError};
use crate::base::clock::Deadline;
use crate::base::home_name::HomeName;
use crate::base::metrics::Metric;

/// The number of frames that are posted concurrently.
const AT_ONCE: usize = 64;

/// The longest delay between two attempts. After it, the connection counts as not reached.
const LONGEST_DELAY: Duration = Duration::from_millis(3_200);

/// The receivers of a broadcast within its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Receivers {
    /// All connections of the tenant.
    Tenant,
    /// All connections of a subject.
    User(String),
    /// The connections that watch a resource.
    Watchers(String),
}

/// A frame for several connections.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    /// The tenant of the receivers.
    pub(crate) tenant: Option<HomeName>,
    /// The receivers.
    pub(crate) to: Receivers,
    /// The ids of connections that do not get the frame.
    pub(crate) except: BTreeSet<String>,
    /// The frame.
    pub(crate) frame: String,
}

/// The outcome of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// The number of connections that got the frame.
    pub(crate) sent: usize,
    /// The number of connections that did not exist any more. They are removed.
    pub(crate) gone: usize,
    /// The number of connections that could not be reached.
    pub(crate) failed: usize,
}

/// The outcome for one connection.
enum Outcome {
    Sent,
    Gone,
    Failed,
    /// The row is not of the broadcast's tenant.
    Foreign,
}

impl Connections {
    /// Posts a frame to all its receivers. Clients of Home Assistant's protocol get no frame, because that protocol
    /// has events only for subscriptions.
    pub(crate) async fn broadcast(
        &self,
        broadcast: &Broadcast,
        deadline: Deadline,
    ) -> Result<Delivered, ConnectionError> {
        let tenant = broadcast.tenant.as_ref();
        let registry = &self.parts.registry;
        let rows = match &broadcast.to {
            Receivers::Tenant => registry.members(tenant, None).await?,
            Receivers::User(subject) => registry.members(tenant, Some(subject)).await?,
            Receivers::Watchers(resource) => registry.watchers(tenant, resource).await?,
        };
        let receivers = rows.into_iter().filter(|row| {
            row.dialect != Some(Dialect::HomeAssistant)
                && !broadcast.except.contains(&row.address.id.0)
        });
        let posts =
            receivers.map(|row| async move { self.deliver(&row, broadcast, deadline).await });
        let mut outcomes = futures_util::stream::iter(posts).buffer_unordered(AT_ONCE);
        let mut delivered = Delivered::default();
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Outcome::Sent => delivered.sent += 1,
                Outcome::Gone => delivered.gone += 1,
                Outcome::Failed => delivered.failed += 1,
                Outcome::Foreign => {}
            }
        }
        Ok(delivered)
    }

    /// Posts the frame to one connection.
    async fn deliver(&self, row: &MemberRow, broadcast: &Broadcast, deadline: Deadline) -> Outcome {
        if row.tenant != broadcast.tenant {
            self.parts.metrics.record(Metric::TenantViolation);
            tracing::error!(
                category = "tenant-violation",
                "a connection of another tenant was not sent a broadcast"
            );
            return Outcome::Foreign;
        }
        match self
            .post_patiently(&row.address, &broadcast.frame, deadline)
            .await
        {
            Ok(()) => Outcome::Sent,
            Err(PostError::Gone) => {
                if let Err(error) = self.forget_ended(&row.address.id).await {
                    tracing::warn!(category = "connections", error = %error, "a connection was not removed");
                }
                Outcome::Gone
            }
            Err(error) => {
                tracing::warn!(category = "connections", error = %error, "a broadcast was not delivered");
                Outcome::Failed
            }
        }
    }

    /// Posts a frame. A throttled post is repeated, because API Gateway has not accepted it.
    pub(crate) async fn post_patiently(
        &self,
        to: &Address,
        frame: &str,
        deadline: Deadline,
    ) -> Result<(), PostError> {
        let mut delay = FIRST_DELAY;
        loop {
            let posted = self.post(to, frame.to_owned()).await;
            let left = deadline.remaining(self.parts.clock.now());
            if posted != Err(PostError::Throttled) || delay > LONGEST_DELAY || left <= delay {
                return posted;
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
    }

    /// Lets a connection watch resources. Fails if the connection would exceed the limit of its plan.
    pub(crate) async fn watch(
        &self,
        connection: &Connection,
        resources: &[String],
    ) -> Result<(), ConnectionError> {
        let Some(member) = connection.member() else {
            return Ok(());
        };
        let registry = &self.parts.registry;
        let limit = self.parts.config.limits.of(connection.plan()).subscriptions;
        let watched = registry.watched(&connection.address.id).await?;
        let all: BTreeSet<&String> = watched.iter().chain(resources).collect();
        if all.len() > limit {
            return Err(ConnectionError::TooManySubscriptions(limit));
        }
        let expires_at = connection.connected_at + LIFETIME;
        for resource in resources {
            registry.watch(&member, resource, expires_at).await?;
        }
        Ok(())
    }

    /// Ends watches of a connection.
    pub(crate) async fn unwatch(
        &self,
        connection: &Connection,
        resources: &[String],
    ) -> Result<(), ConnectionError> {
        if let Some(member) = connection.member() {
            for resource in resources {
                self.parts.registry.unwatch(&member, resource).await?;
            }
        }
        Ok(())
    }

    /// Ends the watches of a connection that `allows` does not allow any more.
    pub(crate) async fn end_watches(
        &self,
        connection: &Connection,
        allows: impl Fn(&str) -> bool,
    ) -> Result<(), ConnectionError> {
        let mut watched = self.parts.registry.watched(&connection.address.id).await?;
        watched.retain(|resource| !allows(resource));
        self.unwatch(connection, &watched).await
    }

    /// Records a signature. Returns false if it was used before.
    pub(crate) async fn use_signature(
        &self,
        signature: &str,
        valid_for: Duration,
    ) -> Result<bool, ConnectionError> {
        let id = super::ConnectionId("events".to_owned());
        let expires_at = self.now() + valid_for;
        Ok(self
            .parts
            .registry
            .claim(&id, signature, expires_at)
            .await?)
    }
}
