//! Connections in the memory of one process, for use without a table.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Authenticated, Joined, MemberRow, Registry, RegistryError, Statistics};
use crate::base::home_name::HomeName;
use crate::base::lock::Lock;
use crate::service::connections::connection::{Connection, ConnectionId, Dialect, Identity};

/// A registry in memory. It knows only the connections whose events reach the same process.
#[derive(Debug, Default)]
pub struct MemoryRegistry(Lock<Rows>);

/// Values, each with the time at which it expires.
type Expiring<K, V> = BTreeMap<K, (V, Duration)>;

#[derive(Debug, Default)]
struct Rows {
    connections: Expiring<ConnectionId, Connection>,
    members: Expiring<ConnectionId, MemberRow>,
    /// The watchers, by connection and resource.
    watchers: Expiring<(ConnectionId, String), MemberRow>,
    /// The message ids that were used.
    messages: Expiring<(ConnectionId, String), ()>,
}

impl Rows {
    fn remove_expired(&mut self, now: Duration) {
        self.connections.retain(|_, (_, until)| *until >= now);
        self.members.retain(|_, (_, until)| *until >= now);
        self.watchers.retain(|_, (_, until)| *until >= now);
        self.messages.retain(|_, (_, until)| *until >= now);
    }

    fn authenticate(
        &mut self,
        id: &ConnectionId,
        identity: &Identity,
        dialect: Option<Dialect>,
        due: Duration,
        expires_at: Duration,
    ) -> Authenticated {
        let Some((connection, until)) = self.connections.get_mut(id) else {
            return Authenticated::Gone;
        };
        let owner = connection.identity.as_ref();
        if owner.is_some_and(|owner| !owner.is_same_person(identity)) {
            return Authenticated::OtherPerson;
        }
        let before = connection.clone();
        connection.identity = Some(identity.clone());
        connection.dialect = dialect.or(connection.dialect);
        connection.due = due;
        *until = expires_at;
        Authenticated::Done(Box::new(before))
    }

    fn join(&mut self, member: &MemberRow, expires_at: Duration) -> Joined {
        let id = &member.address.id;
        if self.connections.contains_key(id) {
            self.members
                .insert(id.clone(), (member.clone(), expires_at));
        } else {
            self.members.remove(id);
        }
        let tenant = member.tenant.as_ref();
        Joined {
            of_caller: self.members(tenant, Some(&member.subject)).count(),
            of_tenant: self.members(tenant, None).count(),
        }
    }

    fn members<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        subject: Option<&'a str>,
    ) -> impl Iterator<Item = &'a MemberRow> {
        let members = self.members.values().map(|(member, _)| member);
        members.filter(move |member| {
            member.tenant.as_ref() == tenant
                && subject.is_none_or(|subject| member.subject == subject)
        })
    }

    fn postpone(&mut self, id: &ConnectionId, from: Duration, to: Duration) -> bool {
        match self.connections.get_mut(id) {
            Some((connection, _)) if connection.due == from => {
                connection.due = to;
                true
            }
            _ => false,
        }
    }

    fn remove(&mut self, id: &ConnectionId) -> Option<Connection> {
        self.members.remove(id);
        self.watchers.retain(|(of, _), _| of != id);
        self.messages.retain(|(of, _), _| of != id);
        self.connections
            .remove(id)
            .map(|(connection, _)| connection)
    }

    fn overdue(&mut self, now: Duration, most: usize) -> Vec<Connection> {
        self.remove_expired(now);
        let connections = self.connections.values().map(|(connection, _)| connection);
        let mut overdue: Vec<Connection> = connections
            .filter(|connection| connection.due <= now)
            .cloned()
            .collect();
        overdue.sort_by_key(|connection| connection.due);
        overdue.truncate(most);
        overdue
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for (connection, _) in self.connections.values() {
            let identity = connection.identity.as_ref();
            statistics.count(identity.map(|identity| identity.tenant.clone()));
        }
        statistics
    }
}

impl MemoryRegistry {
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Rows) -> T,
    ) -> BoxFuture<'static, Result<T, RegistryError>> {
        let done = work(&mut self.0.lock());
        Box::pin(std::future::ready(Ok(done)))
    }
}

impl Registry for MemoryRegistry {
    fn open<'a>(
        &'a self,
        connection: &'a Connection,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        self.with(|rows| {
            let id = connection.address.id.clone();
            rows.connections
                .insert(id, (connection.clone(), expires_at));
        })
    }

    fn find<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Option<Connection>, RegistryError>> {
        self.with(|rows| {
            let found = rows.connections.get(id);
            found.map(|(connection, _)| connection.clone())
        })
    }

    fn authenticate<'a>(
        &'a self,
        id: &'a ConnectionId,
        identity: &'a Identity,
        dialect: Option<Dialect>,
        due: Duration,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<Authenticated, RegistryError>> {
        self.with(|rows| rows.authenticate(id, identity, dialect, due, expires_at))
    }

    fn join<'a>(
        &'a self,
        member: &'a MemberRow,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<Joined, RegistryError>> {
        self.with(|rows| rows.join(member, expires_at))
    }

    fn learn<'a>(
        &'a self,
        id: &'a ConnectionId,
        dialect: Dialect,
        coalesces: bool,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        self.with(|rows| {
            if let Some((connection, _)) = rows.connections.get_mut(id) {
                connection.dialect = Some(dialect);
                connection.coalesces = coalesces;
            }
        })
    }

    fn postpone<'a>(
        &'a self,
        id: &'a ConnectionId,
        from: Duration,
        to: Duration,
    ) -> BoxFuture<'a, Result<bool, RegistryError>> {
        self.with(|rows| rows.postpone(id, from, to))
    }

    fn remove<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Option<Connection>, RegistryError>> {
        self.with(|rows| rows.remove(id))
    }

    fn overdue(
        &self,
        now: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Connection>, RegistryError>> {
        self.with(|rows| rows.overdue(now, most))
    }

    fn claim<'a>(
        &'a self,
        id: &'a ConnectionId,
        message: &'a str,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<bool, RegistryError>> {
        self.with(|rows| {
            let key = (id.clone(), message.to_owned());
            let is_new = !rows.messages.contains_key(&key);
            rows.messages.entry(key).or_insert(((), expires_at));
            is_new
        })
    }

    fn members<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        subject: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, RegistryError>> {
        self.with(|rows| rows.members(tenant, subject).cloned().collect())
    }

    fn watch<'a>(
        &'a self,
        member: &'a MemberRow,
        resource: &'a str,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        self.with(|rows| {
            let key = (member.address.id.clone(), resource.to_owned());
            rows.watchers.insert(key, (member.clone(), expires_at));
        })
    }

    fn unwatch<'a>(
        &'a self,
        member: &'a MemberRow,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        self.with(|rows| {
            let key = (member.address.id.clone(), resource.to_owned());
            rows.watchers.remove(&key);
        })
    }

    fn watched<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Vec<String>, RegistryError>> {
        self.with(|rows| {
            let own = rows.watchers.keys().filter(|(of, _)| of == id);
            own.map(|(_, resource)| resource.clone()).collect()
        })
    }

    fn watchers<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, RegistryError>> {
        self.with(|rows| {
            let watchers = rows.watchers.iter().filter(|((_, of), (member, _))| {
                of == resource && member.tenant.as_ref() == tenant
            });
            watchers.map(|(_, (member, _))| member.clone()).collect()
        })
    }

    fn statistics(&self) -> BoxFuture<'_, Result<Statistics, RegistryError>> {
        self.with(|rows| rows.statistics())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::connections::connection::Address;

    const NOW: Duration = Duration::from_secs(1_750_000_000);
    const SOON: Duration = Duration::from_secs(1_750_000_060);

    /// Adds one row of each kind for the connection `id`. The rows expire at [`SOON`].
    async fn fill(registry: &MemoryRegistry, id: &str) {
        let address = Address {
            id: ConnectionId(id.into()),
            endpoint: "https://api".into(),
        };
        let connection = Connection {
            address: address.clone(),
            connected_at: NOW,
            dialect: None,
            coalesces: false,
            identity: None,
            due: NOW,
        };
        let member = MemberRow {
            address: address.clone(),
            tenant: None,
            subject: "s".into(),
            dialect: None,
        };
        registry.open(&connection, SOON).await.unwrap();
        registry.join(&member, SOON).await.unwrap();
        registry.watch(&member, "light.a", SOON).await.unwrap();
        let claimed = registry.claim(&address.id, "1", SOON).await;
        assert_eq!(claimed, Ok(true));
    }

    /// Returns the number of rows of each kind.
    fn sizes(registry: &MemoryRegistry) -> [usize; 4] {
        let rows = registry.0.lock();
        [
            rows.connections.len(),
            rows.members.len(),
            rows.watchers.len(),
            rows.messages.len(),
        ]
    }

    #[tokio::test]
    async fn expired_rows_are_dropped_by_the_search_for_overdue_connections() {
        let registry = MemoryRegistry::default();
        fill(&registry, "a").await;
        for (now, kept) in [(SOON, 1), (SOON + Duration::from_nanos(1), 0)] {
            let overdue = registry.overdue(now, 9).await.unwrap();
            assert_eq!(overdue.len(), kept);
            assert_eq!(sizes(&registry), [kept; 4]);
        }
        fill(&registry, "a").await;
    }

    #[tokio::test]
    async fn removal_drops_the_rows_of_one_connection() {
        let registry = MemoryRegistry::default();
        fill(&registry, "a").await;
        fill(&registry, "b").await;
        for (id, left) in [("a", 1), ("a", 1), ("b", 0)] {
            registry.remove(&ConnectionId(id.into())).await.unwrap();
            assert_eq!(sizes(&registry), [left; 4], "{id}");
        }
    }
}
