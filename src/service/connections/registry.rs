//! The registry of connections.
//!
//! A connection is one row. A member row below its tenant, and a watcher row below each watched resource, repeat the
//! parts that a broadcast needs. Each write changes one item under a condition; there are no transactions. All rows
//! expire, so a row that a killed execution environment left behind disappears by itself.

mod memory;
mod shared;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
pub use memory::MemoryRegistry;
pub use shared::SharedRegistry;

use super::connection::{Connection, ConnectionId, Dialect, Identity, MemberRow};
use crate::base::home_name::HomeName;

/// The maximum length of a message id and of a resource in UTF-8, in bytes. Both are parts of keys, and a sort key of
/// DynamoDB can have 1,024 bytes.
pub const MAX_NAME_BYTES: usize = 1_000;

/// The error of a registry that could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of connections could not be used ({0})")]
pub struct RegistryError(pub String);

/// The outcome of authenticating a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Authenticated {
    /// The row has the new identity. This is the row as it was before.
    Done(Box<Connection>),
    /// The connection belongs to another subject or tenant. The row is unchanged.
    OtherPerson,
    /// The connection has no row. It was closed.
    Gone,
}

/// The numbers of connections right after a member has joined, itself included. A connection that was closed meanwhile
/// is not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The connections of the same subject in the same tenant.
    pub of_caller: usize,
    /// The connections of the tenant.
    pub of_tenant: usize,
}

/// The numbers of open connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All connections.
    pub connections: usize,
    /// The connections that are authenticated.
    pub authenticated: usize,
    /// The authenticated connections of each tenant. Connections without a tenant are under `None`.
    pub by_tenant: BTreeMap<Option<HomeName>, usize>,
}

impl Statistics {
    /// Counts one connection: without a caller (`None`), or with a caller of this tenant.
    fn count(&mut self, caller: Option<Option<HomeName>>) {
        self.connections += 1;
        if let Some(tenant) = caller {
            self.authenticated += 1;
            *self.by_tenant.entry(tenant).or_default() += 1;
        }
    }
}

/// A store for connections. All times are since the Unix epoch.
///
/// Expired rows count as absent, except for [`Registry::remove`]. A registry in memory has no clock. Its rows expire at
/// the next call of [`Registry::overdue`] whose `now` is late enough.
pub trait Registry: Send + Sync {
    /// Adds or replaces the row of a connection, which expires at `expires_at`.
    fn open<'a>(
        &'a self,
        connection: &'a Connection,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// Returns the row of a connection, as the last write left it (a strongly consistent read).
    fn find<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Option<Connection>, RegistryError>>;

    /// Gives a connection a caller, if it has none or the same one (equal subject and tenant). Sets the dialect if it
    /// is given, and `due` and the expiry of the row.
    fn authenticate<'a>(
        &'a self,
        id: &'a ConnectionId,
        identity: &'a Identity,
        dialect: Option<Dialect>,
        due: Duration,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<Authenticated, RegistryError>>;

    /// Adds or replaces the member row of an authenticated connection, and counts the members after that (with a
    /// strongly consistent read). Removes the member row again if the connection has no row: it was closed meanwhile.
    fn join<'a>(
        &'a self,
        member: &'a MemberRow,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<Joined, RegistryError>>;

    /// Records facts about the client that its messages show. Does nothing if the connection has no row. The member row
    /// and the watcher rows stay as they are; join and watch again to change their dialect.
    fn learn<'a>(
        &'a self,
        id: &'a ConnectionId,
        dialect: Dialect,
        coalesces: bool,
    ) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// Changes `due` from `from` to `to`. Returns false if `due` is different from `from`, or if the row is gone.
    /// Another invocation then looks after the connection.
    fn postpone<'a>(
        &'a self,
        id: &'a ConnectionId,
        from: Duration,
        to: Duration,
    ) -> BoxFuture<'a, Result<bool, RegistryError>>;

    /// Removes a connection with its member row and its watcher rows. Returns the row, if there was one. Two concurrent
    /// removals may both return the row. A removal that failed or was killed can be repeated.
    fn remove<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Option<Connection>, RegistryError>>;

    /// Returns up to `most` connections whose `due` is at or before `now`, the longest overdue first.
    fn overdue(
        &self,
        now: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Connection>, RegistryError>>;

    /// Records that a connection used a message id, of up to [`MAX_NAME_BYTES`]. Returns false if the id was used
    /// before.
    fn claim<'a>(
        &'a self,
        id: &'a ConnectionId,
        message: &'a str,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<bool, RegistryError>>;

    /// Returns the connections of a tenant, or of one of its subjects.
    fn members<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        subject: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, RegistryError>>;

    /// Lets a connection watch a resource of its tenant until `expires_at`. The resource has up to [`MAX_NAME_BYTES`],
    /// and at least one byte.
    fn watch<'a>(
        &'a self,
        member: &'a MemberRow,
        resource: &'a str,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// Ends a watch.
    fn unwatch<'a>(
        &'a self,
        member: &'a MemberRow,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// Returns the resources that a connection watches.
    fn watched<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Vec<String>, RegistryError>>;

    /// Returns the connections that watch a resource of a tenant.
    fn watchers<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, RegistryError>>;

    /// Counts the connections.
    fn statistics(&self) -> BoxFuture<'_, Result<Statistics, RegistryError>>;
}
