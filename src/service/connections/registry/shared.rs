//! Connections in the table that all execution environments share.
//!
//! | partition key | sort key | item |
//! |---|---|---|
//! | `connection#<id>` | `connection` | the row: the fields of `Connection` |
//! | `connection#<id>` | `watch#<resource>` | a watch of the connection: the tenant and the resource |
//! | `connection#<id>` | `message#<message>` | a message id that the connection used |
//! | `tenant#<tenant>` | `member#<SHA-256 of subject>#<id>` | a member row: the fields of `MemberRow` |
//! | `watch#<tenant>#<resource>` | `<id>` | a watcher row: the fields of `MemberRow` |
//!
//! Without a tenant, `<tenant>` is empty. Each item has `expires_at`, in seconds. DynamoDB deletes expired items only
//! within days, so all reads leave them out. A row also has `shard`, which comes from a hash of the id. So the row is
//! in the index `by_due`, in the partition `shard` and in the order of `due`.
//!
//! | method | access |
//! |---|---|
//! | `open` | puts the row |
//! | `find` | gets the row |
//! | `authenticate`, `learn`, `postpone` | one conditional update of the row |
//! | `join` | puts the member row; then gets the row, and counts the sort keys `member#<hash>#` and `member#` |
//! | `members` | queries the sort keys `member#` or `member#<hash>#` of the tenant |
//! | `claim` | one conditional put of the message id |
//! | `watch` | puts the watch, then the watcher row |
//! | `unwatch` | deletes the watcher row, then the watch |
//! | `watched` | queries the sort keys `watch#` of the connection |
//! | `watchers` | queries the partition of the resource |
//! | `overdue`, `statistics` | queries all shards of `by_due` |
//! | `remove` | queries the partition of the connection and deletes all that belongs to it, the row last |
//!
//! All reads are strongly consistent, except those of the index.
//!
//! * A removal deletes the row last, so the next sweep repeats a removal that was killed.
//! * `join` looks for the row after the member row is written, and a removal deletes the member row once more after the
//!   row. So a member row does not stay if a connection closes while it joins. A watch that begins while the connection
//!   closes can stay until it expires, or until the next removal.
//! * The SDK retries a request whose response was lost. The retry of a conditional write can find the item that the
//!   first attempt wrote. So these writes store a random id, by which the retry recognises its own item.

mod authentication;
mod keys;
mod membership;
mod removal;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use rows::{Presence, Watch, is_live, readable, seconds};
use serde::de::DeserializeOwned;

use super::{Authenticated, Joined, MemberRow, Registry, RegistryError, Statistics};
use crate::base::clock::Clock;
use crate::base::home_name::HomeName;
use crate::base::random::Random;
use crate::base::table::{Condition, Item, Query, Table, TableError, Value, Write};
use crate::service::connections::connection::{Connection, ConnectionId, Dialect, Identity};

/// A registry in a DynamoDB table.
pub struct SharedRegistry {
    table: Table,
    clock: Arc<dyn Clock>,
    random: Random,
}

impl SharedRegistry {
    /// Creates a registry in `table`. `random` generates the ids of runs.
    pub fn new(table: Table, clock: Arc<dyn Clock>, random: Random) -> Self {
        Self {
            table,
            clock,
            random,
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().unix
    }

    /// Reads the items of a query that have not expired.
    async fn query<T: DeserializeOwned>(&self, query: Query<'_>) -> Result<Vec<T>, TableError> {
        let items = self.table.query(query.live_at(self.now())).await?;
        Ok(items.into_iter().filter_map(readable).collect())
    }

    /// Queries all shards of the index. The rows of all shards are due at or before `until`.
    async fn query_shards<T: DeserializeOwned>(
        &self,
        until: Duration,
        most: usize,
    ) -> Result<Vec<T>, TableError> {
        let shards = keys::SHARDS.map(|shard| {
            let keys = Condition {
                expression: "#shard = :shard AND #due <= :until",
                names: &["shard", "due"],
                values: vec![("shard", shard.into()), ("until", until.into())],
            };
            self.query(Query::index("by_due", keys).most(most))
        });
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    async fn find_item(&self, id: &ConnectionId) -> Result<Option<Item>, TableError> {
        let found = self.table.get(&keys::row(id)).await?;
        Ok(found.filter(|item| is_live(item, self.now())))
    }

    async fn move_due(
        &self,
        id: &ConnectionId,
        from: Duration,
        to: Duration,
    ) -> Result<bool, RegistryError> {
        let run = self.random.id();
        let condition = Condition {
            expression: "#expires_at >= :now AND #due = :from",
            names: &["expires_at", "due", "postponed_by"],
            values: vec![
                ("now", seconds(self.now())),
                ("from", from.into()),
                ("to", to.into()),
                ("run", run.as_str().into()),
            ],
        };
        let change = "SET #due = :to, #postponed_by = :run";
        Ok(
            match self.table.update(&keys::row(id), change, condition).await? {
                Write::Done => true,
                // This run moved the time in an earlier attempt whose response was lost.
                Write::Refused(item) => item.text("postponed_by") == Some(&run),
            },
        )
    }

    async fn use_message(
        &self,
        id: &ConnectionId,
        message: &str,
        expires_at: Duration,
    ) -> Result<bool, RegistryError> {
        let run = self.random.id();
        let item = Item::new([
            ("run", run.as_str().into()),
            ("expires_at", seconds(expires_at)),
        ]);
        let is_new = Condition {
            // The item of this run comes from an earlier attempt whose response was lost.
            expression: "attribute_not_exists(#pk) OR #expires_at < :now OR #run = :run",
            names: &["pk", "expires_at", "run"],
            values: vec![("now", seconds(self.now())), ("run", run.as_str().into())],
        };
        let key = keys::message(id, message);
        Ok(self.table.put(&key, item, Some(is_new)).await? == Write::Done)
    }
}

impl From<TableError> for RegistryError {
    fn from(error: TableError) -> Self {
        Self(error.0)
    }
}

impl Registry for SharedRegistry {
    fn open<'a>(
        &'a self,
        connection: &'a Connection,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let id = &connection.address.id;
            let mut item = Item::of(connection)?;
            item.insert("shard", keys::shard(id).into());
            item.insert("expires_at", seconds(expires_at));
            self.table.put(&keys::row(id), item, None).await?;
            Ok(())
        })
    }

    fn find<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Option<Connection>, RegistryError>> {
        Box::pin(async move {
            let found = self.find_item(id).await?;
            Ok(found.map(Item::into_row).transpose()?)
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
        Box::pin(self.set_identity(id, identity, dialect, due, expires_at))
    }

    fn join<'a>(
        &'a self,
        member: &'a MemberRow,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<Joined, RegistryError>> {
        Box::pin(self.add_member(member, expires_at))
    }

    fn learn<'a>(
        &'a self,
        id: &'a ConnectionId,
        dialect: Dialect,
        coalesces: bool,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let exists = Condition {
                expression: "attribute_exists(#pk)",
                names: &["pk", "dialect", "coalesces"],
                values: vec![
                    ("dialect", Value::of(&dialect)?),
                    ("coalesces", coalesces.into()),
                ],
            };
            let change = "SET #dialect = :dialect, #coalesces = :coalesces";
            self.table.update(&keys::row(id), change, exists).await?;
            Ok(())
        })
    }

    fn postpone<'a>(
        &'a self,
        id: &'a ConnectionId,
        from: Duration,
        to: Duration,
    ) -> BoxFuture<'a, Result<bool, RegistryError>> {
        Box::pin(self.move_due(id, from, to))
    }

    fn remove<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Option<Connection>, RegistryError>> {
        Box::pin(self.remove_all(id))
    }

    fn overdue(
        &self,
        now: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Connection>, RegistryError>> {
        Box::pin(async move {
            let mut overdue: Vec<Connection> = self.query_shards(now, most).await?;
            overdue.sort_by_key(|connection| connection.due);
            overdue.truncate(most);
            Ok(overdue)
        })
    }

    fn claim<'a>(
        &'a self,
        id: &'a ConnectionId,
        message: &'a str,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<bool, RegistryError>> {
        Box::pin(self.use_message(id, message, expires_at))
    }

    fn members<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        subject: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, RegistryError>> {
        Box::pin(async move {
            let query = Query::beginning_with(keys::tenant(tenant), keys::members(subject));
            Ok(self.query(query).await?)
        })
    }

    fn watch<'a>(
        &'a self,
        member: &'a MemberRow,
        resource: &'a str,
        expires_at: Duration,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let (tenant, id) = (member.tenant.as_ref(), &member.address.id);
            let mut item = Item::of(member)?;
            item.insert("resource", resource.into());
            item.insert("expires_at", seconds(expires_at));
            // A removal finds the watcher row by the watch, so the watch comes first.
            let watch = keys::watch(id, resource);
            self.table.put(&watch, item.clone(), None).await?;
            let watcher = keys::watcher(tenant, resource, id);
            self.table.put(&watcher, item, None).await?;
            Ok(())
        })
    }

    fn unwatch<'a>(
        &'a self,
        member: &'a MemberRow,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let (tenant, id) = (member.tenant.as_ref(), &member.address.id);
            let watcher = keys::watcher(tenant, resource, id);
            self.table.delete(&watcher, None).await?;
            self.table.delete(&keys::watch(id, resource), None).await?;
            Ok(())
        })
    }

    fn watched<'a>(
        &'a self,
        id: &'a ConnectionId,
    ) -> BoxFuture<'a, Result<Vec<String>, RegistryError>> {
        Box::pin(async move {
            let query = Query::beginning_with(keys::own(id), keys::WATCHES.into());
            let watches: Vec<Watch> = self.query(query).await?;
            Ok(watches.into_iter().map(|watch| watch.resource).collect())
        })
    }

    fn watchers<'a>(
        &'a self,
        tenant: Option<&'a HomeName>,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, RegistryError>> {
        Box::pin(async move {
            let query = Query::partition(keys::watchers(tenant, resource));
            Ok(self.query(query).await?)
        })
    }

    fn statistics(&self) -> BoxFuture<'_, Result<Statistics, RegistryError>> {
        Box::pin(async move {
            let present: Vec<Presence> = self.query_shards(Duration::MAX, usize::MAX).await?;
            let mut statistics = Statistics::default();
            for presence in present {
                statistics.count(presence.identity.map(|identity| identity.tenant));
            }
            Ok(statistics)
        })
    }
}
