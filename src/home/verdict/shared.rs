//! Verdicts in the table that all execution environments share.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{REJECTED_FOR, Turn, Verdict, VerdictStore};
use crate::base::clock::Timestamp;
use crate::base::table::{Condition, Item, Key, Table, TableError, Write};

const PRESENTING: &str = "presenting";
const ACCEPTED: &str = "accepted";
const REJECTED: &str = "rejected";
const UNKNOWN: &str = "unknown";

/// The time that verdicts other than rejections stay in the table.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A verdict store in a table.
#[derive(Debug)]
pub struct SharedVerdicts(Table);

impl SharedVerdicts {
    /// Creates a store in `table`.
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    async fn take(
        &self,
        pseudonym: &str,
        run: &str,
        since: Timestamp,
        now: Timestamp,
        claimed_for: Duration,
    ) -> Result<Turn, TableError> {
        let is_free = Condition {
            expression: "attribute_not_exists(pk) OR expires_at < :seconds OR #state = :unknown \
                         OR (#state = :presenting AND (#until < :now OR #run = :run)) \
                         OR (#state = :accepted AND #at < :since)",
            names: &["state", "until", "at", "run"],
            values: vec![
                ("seconds", now.unix.as_secs().into()),
                ("unknown", UNKNOWN.into()),
                ("presenting", PRESENTING.into()),
                ("now", now.unix.into()),
                ("accepted", ACCEPTED.into()),
                ("since", since.unix.into()),
                ("run", run.into()),
            ],
        };
        let claim = item(PRESENTING, run, now, now.unix + claimed_for, KEPT);
        match self.0.put(&key(pseudonym), claim, Some(is_free)).await? {
            Write::Done => Ok(Turn::Ours),
            Write::Refused(found) => Ok(match found.text("state") {
                Some(REJECTED) => Turn::Rejected,
                Some(ACCEPTED) => Turn::Accepted,
                _ => Turn::Taken,
            }),
        }
    }
}

impl VerdictStore for SharedVerdicts {
    fn claim<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        since: Timestamp,
        now: Timestamp,
        claimed_for: Duration,
    ) -> BoxFuture<'a, Result<Turn, TableError>> {
        Box::pin(self.take(pseudonym, run, since, now, claimed_for))
    }

    fn settle<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        verdict: Verdict,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        let is_ours = Condition {
            expression: "#run = :run AND #state = :presenting",
            names: &["run", "state"],
            values: vec![("run", run.into()), ("presenting", PRESENTING.into())],
        };
        let (state, kept, condition) = match verdict {
            Verdict::Rejected => (REJECTED, REJECTED_FOR, None),
            Verdict::Accepted => (ACCEPTED, KEPT, Some(is_ours)),
            Verdict::Unknown => (UNKNOWN, KEPT, Some(is_ours)),
        };
        Box::pin(async move {
            let item = item(state, run, now, now.unix, kept);
            self.0.put(&key(pseudonym), item, condition).await?;
            Ok(())
        })
    }
}

fn key(pseudonym: &str) -> Key {
    Key {
        pk: format!("verdict#{pseudonym}"),
        sk: "presentation".into(),
    }
}

fn item(state: &str, run: &str, now: Timestamp, until: Duration, kept: Duration) -> Item {
    Item::new([
        ("state", state.into()),
        ("run", run.into()),
        ("at", now.unix.into()),
        ("until", until.into()),
        ("expires_at", (now.unix + kept).as_secs().into()),
    ])
}
