//! The lease of a rotation: one runs at a time, and one that died holds the others up no longer than its lease.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::base::clock::Timestamp;
use crate::base::lock::Lock;
use crate::base::table::{Condition, Item, Key, Table, TableError, Write};

/// A place where leases are kept.
pub trait LeaseStore: Send + Sync {
    /// Takes the lease on `scope` until `until` (since the Unix epoch), if nobody has it. `Some` says until when
    /// another run has it.
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Option<Duration>, TableError>>;

    /// Extends a lease that this run has, also one that has ended if nobody took it since. False if it is lost:
    /// whoever has had it meanwhile may be through already.
    fn renew<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        until: Duration,
    ) -> BoxFuture<'a, Result<bool, TableError>>;

    /// Gives the lease back, if it is this run's.
    fn release<'a>(&'a self, scope: &'a str, run: &'a str)
    -> BoxFuture<'a, Result<(), TableError>>;
}

/// Leases in the table that all sandboxes share.
#[derive(Debug)]
pub struct SharedLeases(Table);

impl SharedLeases {
    /// Leases in `table`.
    pub fn new(table: Table) -> Self {
        Self(table)
    }
}

fn key(scope: &str) -> Key {
    Key {
        pk: format!("rotation#{scope}"),
        sk: "lease",
    }
}

fn item(run: &str, until: Duration) -> Item {
    Item::new([
        ("run", run.into()),
        ("until", until.into()),
        // Long after it has ended.
        ("expires_at", (until.as_secs() + 24 * 60 * 60).into()),
    ])
}

impl LeaseStore for SharedLeases {
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Option<Duration>, TableError>> {
        Box::pin(async move {
            let is_free = Condition {
                expression: "attribute_not_exists(pk) OR #run = :run OR #until < :now",
                names: &["run", "until"],
                values: vec![("run", run.into()), ("now", now.unix.into())],
            };
            let lease = item(run, until);
            match self.0.put(&key(scope), lease, Some(is_free)).await? {
                Write::Done => Ok(None),
                Write::Refused(held) => {
                    let until = held.number("until").unwrap_or_default();
                    Ok(Some(Duration::from_millis(until)))
                }
            }
        })
    }

    fn renew<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        until: Duration,
    ) -> BoxFuture<'a, Result<bool, TableError>> {
        Box::pin(async move {
            let lease = item(run, until);
            let written = self
                .0
                .put(&key(scope), lease, Some(Condition::is_of(run)))
                .await?;
            Ok(written == Write::Done)
        })
    }

    fn release<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move { self.0.delete(&key(scope), Condition::is_of(run)).await })
    }
}

/// Leases in the memory of one process, for use without a table: they keep apart what runs in it.
#[derive(Debug, Default)]
pub struct MemoryLeases(Lock<Vec<(String, String, Duration)>>);

impl LeaseStore for MemoryLeases {
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Option<Duration>, TableError>> {
        let mut leases = self.0.lock();
        let held = leases
            .iter()
            .find(|(of, by, until)| of == scope && by != run && *until >= now.unix)
            .map(|(_, _, until)| *until);
        if held.is_none() {
            leases.retain(|(of, _, _)| of != scope);
            leases.push((scope.to_owned(), run.to_owned(), until));
        }
        Box::pin(std::future::ready(Ok(held)))
    }

    fn renew<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        until: Duration,
    ) -> BoxFuture<'a, Result<bool, TableError>> {
        let mut leases = self.0.lock();
        let ours = leases
            .iter_mut()
            .find(|(of, by, _)| of == scope && by == run);
        let is_ours = ours.is_some();
        if let Some((_, _, end)) = ours {
            *end = until;
        }
        Box::pin(std::future::ready(Ok(is_ours)))
    }

    fn release<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        let mut leases = self.0.lock();
        leases.retain(|(of, by, _)| of != scope || by != run);
        Box::pin(std::future::ready(Ok(())))
    }
}
