//! The lease of a rotation. Only one run holds it at a time. A crashed run blocks others only until its lease expires.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::base::clock::Timestamp;
use crate::base::lock::Lock;
use crate::base::table::{Condition, Item, Key, Table, TableError, Write};

/// The outcome of taking a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This run holds the lease.
    Taken,
    /// Another run holds the lease until this time (since the Unix epoch).
    HeldUntil(Duration),
}

/// The outcome of renewing a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// This run holds the lease until the new time.
    Renewed,
    /// Another run has taken the lease, and may have finished since.
    Lost,
}

/// A store for leases.
pub trait LeaseStore: Send + Sync {
    /// Takes the lease on `scope` until `until` (since the Unix epoch), unless another run holds it.
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Lease, TableError>>;

    /// Extends the lease of this run to `until` (since the Unix epoch). An expired lease can be renewed if no other run
    /// has taken it.
    fn renew<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        until: Duration,
    ) -> BoxFuture<'a, Result<Renewal, TableError>>;

    /// Releases the lease if this run holds it.
    fn release<'a>(&'a self, scope: &'a str, run: &'a str)
    -> BoxFuture<'a, Result<(), TableError>>;
}

/// Leases in the table that all execution environments share.
#[derive(Debug)]
pub struct SharedLeases(Table);

impl SharedLeases {
    /// Creates a store in `table`.
    pub fn new(table: Table) -> Self {
        Self(table)
    }
}

fn key(scope: &str) -> Key {
    Key {
        pk: format!("rotation#{scope}"),
        sk: "lease".into(),
    }
}

fn item(run: &str, until: Duration) -> Item {
    Item::new([
        ("run", run.into()),
        ("until", until.into()),
        // DynamoDB deletes the item a day after the lease has expired.
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
    ) -> BoxFuture<'a, Result<Lease, TableError>> {
        Box::pin(async move {
            let is_free = Condition {
                expression: "attribute_not_exists(pk) OR #run = :run OR #until < :now",
                names: &["run", "until"],
                values: vec![("run", run.into()), ("now", now.unix.into())],
            };
            let lease = item(run, until);
            match self.0.put(&key(scope), lease, Some(is_free)).await? {
                Write::Done => Ok(Lease::Taken),
                Write::Refused(held) => {
                    let until = held.number("until").unwrap_or_default();
                    Ok(Lease::HeldUntil(Duration::from_millis(until)))
                }
            }
        })
    }

    fn renew<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        until: Duration,
    ) -> BoxFuture<'a, Result<Renewal, TableError>> {
        Box::pin(async move {
            let lease = item(run, until);
            let written = self
                .0
                .put(&key(scope), lease, Some(Condition::is_of(run)))
                .await?;
            Ok(match written {
                Write::Done => Renewal::Renewed,
                Write::Refused(_) => Renewal::Lost,
            })
        })
    }

    fn release<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move {
            self.0
                .delete(&key(scope), Some(Condition::is_of(run)))
                .await
        })
    }
}

/// Leases in the memory of one process, for use without a table. They exclude only runs of the same process.
#[derive(Debug, Default)]
pub struct MemoryLeases(Lock<Vec<(String, String, Duration)>>);

impl LeaseStore for MemoryLeases {
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Lease, TableError>> {
        let mut leases = self.0.lock();
        let held = leases
            .iter()
            .find(|(of, by, until)| of == scope && by != run && *until >= now.unix)
            .map(|(_, _, until)| *until);
        let lease = match held {
            Some(until) => Lease::HeldUntil(until),
            None => {
                leases.retain(|(of, _, _)| of != scope);
                leases.push((scope.to_owned(), run.to_owned(), until));
                Lease::Taken
            }
        };
        Box::pin(std::future::ready(Ok(lease)))
    }

    fn renew<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        until: Duration,
    ) -> BoxFuture<'a, Result<Renewal, TableError>> {
        let mut leases = self.0.lock();
        let ours = leases
            .iter_mut()
            .find(|(of, by, _)| of == scope && by == run);
        let renewal = match ours {
            Some((_, _, end)) => {
                *end = until;
                Renewal::Renewed
            }
            None => Renewal::Lost,
        };
        Box::pin(std::future::ready(Ok(renewal)))
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
