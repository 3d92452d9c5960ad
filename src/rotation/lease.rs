//! The lease of a rotation: one runs at a time, and one that died holds the others up no longer than its lease.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock::Timestamp;
use crate::table::{Condition, Item, Key, Table, TableError, Write};

/// A place where leases are kept.
pub trait LeaseStore: Send + Sync {
    /// Takes or renews the lease on `scope` until `until` (since the Unix epoch). `Some` says until when another run has it.
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Option<Duration>, TableError>>;

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

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
                values: vec![("run", run.into()), ("now", milliseconds(now.unix).into())],
            };
            let item = Item::new([
                ("run", run.into()),
                ("until", milliseconds(until).into()),
                // Long after it has ended.
                ("expires_at", (until.as_secs() + 24 * 60 * 60).into()),
            ]);
            match self.0.put(&key(scope), item, Some(is_free)).await? {
                Write::Done => Ok(None),
                Write::Refused(held) => {
                    let until = held.number("until").unwrap_or_default();
                    Ok(Some(Duration::from_millis(until)))
                }
            }
        })
    }

    fn release<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move {
            let is_ours = Condition {
                expression: "#run = :run",
                names: &["run"],
                values: vec![("run", run.into())],
            };
            self.0.delete(&key(scope), is_ours).await
        })
    }
}

/// Leases in the memory of one process, for use without a table: they keep apart what runs in it.
#[derive(Debug, Default)]
// A std mutex: nothing awaits while it is held.
pub struct MemoryLeases(Mutex<Vec<(String, String, Duration)>>);

impl LeaseStore for MemoryLeases {
    fn take<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
        now: Timestamp,
        until: Duration,
    ) -> BoxFuture<'a, Result<Option<Duration>, TableError>> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(_, _, until)| *until >= now.unix);
        let held = leases
            .iter()
            .find(|(of, by, _)| of == scope && by != run)
            .map(|(_, _, until)| *until);
        if held.is_none() {
            leases.retain(|(of, _, _)| of != scope);
            leases.push((scope.to_owned(), run.to_owned(), until));
        }
        Box::pin(std::future::ready(Ok(held)))
    }

    fn release<'a>(
        &'a self,
        scope: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(of, by, _)| of != scope || by != run);
        Box::pin(std::future::ready(Ok(())))
    }
}
