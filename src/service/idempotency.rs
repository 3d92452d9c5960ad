//! The same request twice is run once: a caller's key, the first outcome, and a day in which both are remembered.
//!
//! A record is begun before anything is sent and finished with the outcome. A record that was begun and never finished
//! belongs to an invocation that died or still runs: whether its commands reached the home cannot be told, so the
//! answer is `unknown`, and nothing is run. Where nothing was sent, the record is taken back, so that the caller may
//! try again.

mod memory;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
pub use memory::MemoryStore;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
pub use shared::SharedStore;

use crate::base::clock::{Clock, Timestamp};
use crate::base::random::Random;
use crate::home::home_assistant::Command;

/// How long an outcome is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest outcome that is remembered whole; DynamoDB's items end at 400 KB.
pub const MAX_OUTCOME_BYTES: usize = 350 * 1024;

/// A caller's key: 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks a caller's text.
    pub fn new(text: String) -> Option<Self> {
        (1..=255)
            .contains(&text.chars().count())
            .then_some(Self(text))
    }
}

/// What is known under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which commands it stands for, as a SHA-256.
    pub request: String,
    /// Which run it belongs to: a random number, by which a run knows its own record.
    pub run: String,
    /// The outcome; `None` while it is not known.
    pub outcome: Option<Remembered>,
}

/// A remembered outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The results, as JSON.
    Results(String),
    /// There are results, too large to keep.
    TooLarge,
}

/// Why a record could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of idempotency keys could not be used ({0})")]
pub struct StoreError(pub String);

/// A place that keeps records.
pub trait OutcomeStore: Send + Sync {
    /// Begins a record, or yields the one of another run that is there and has not ended.
    fn begin<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Finishes a record with its outcome, if it still belongs to the same run.
    fn finish<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes a record back, if it still belongs to this run.
    fn forget<'a>(&'a self, id: &'a str, run: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// What a key leads to.
#[derive(Debug)]
pub enum Admission {
    /// Nobody has used it: run the commands, then settle the ticket.
    Run(Ticket),
    /// It was used for these commands, with this outcome.
    Repeat(Box<RawValue>),
    /// It was used for these commands, and the outcome was too large to keep.
    TooLarge,
    /// It was used for these commands, and what became of them is not known.
    Unknown,
    /// It was used for other commands.
    Mismatch,
}

/// The duty to report what became of a key's commands.
#[derive(Debug)]
pub struct Ticket {
    id: String,
    record: Record,
}

/// Remembers outcomes by key.
pub struct Idempotency {
    store: Box<dyn OutcomeStore>,
    clock: Arc<dyn Clock>,
    random: Random,
}

impl Idempotency {
    /// Records in `store`. `random` numbers the runs.
    pub fn new(store: Box<dyn OutcomeStore>, clock: Arc<dyn Clock>, random: Random) -> Self {
        Self {
            store,
            clock,
            random,
        }
    }

    /// Asks what a key leads to, and takes it if it is free. Keys of different homes, told apart by `scope`, are
    /// different keys.
    pub async fn admit(
        &self,
        scope: &str,
        key: &IdempotencyKey,
        commands: &[Command],
    ) -> Result<Admission, StoreError> {
        let id = digest_of(&[scope, &key.0]);
        let record = Record {
            request: digest_of(&[&Command::canonical(commands)]),
            run: self.random.id(),
            outcome: None,
        };
        let now = self.clock.now();
        let found = self.store.begin(&id, record.clone(), now).await?;
        Ok(match found {
            None => Admission::Run(Ticket { id, record }),
            Some(found) if found.request != record.request => Admission::Mismatch,
            Some(Record { outcome, .. }) => match outcome {
                None => Admission::Unknown,
                Some(Remembered::TooLarge) => Admission::TooLarge,
                Some(Remembered::Results(json)) => Admission::Repeat(
                    RawValue::from_string(json)
                        .map_err(|_| StoreError("a damaged record".into()))?,
                ),
            },
        })
    }

    /// Records the results of the commands behind a ticket. A failure leaves the record begun: `unknown` from then on.
    pub async fn finish(&self, ticket: Ticket, results: String) {
        let outcome = if results.len() <= MAX_OUTCOME_BYTES {
            Remembered::Results(results)
        } else {
            Remembered::TooLarge
        };
        self.record(ticket, outcome).await;
    }

    /// Records that the commands behind a ticket were run, with results that are not to be kept.
    pub async fn finish_without_results(&self, ticket: Ticket) {
        self.record(ticket, Remembered::TooLarge).await;
    }

    async fn record(&self, ticket: Ticket, outcome: Remembered) {
        let record = Record {
            outcome: Some(outcome),
            ..ticket.record
        };
        let finished = self.store.finish(&ticket.id, record, self.clock.now());
        if let Err(error) = finished.await {
            tracing::error!(category = "idempotency", error = %error, "an outcome was not recorded");
        }
    }

    /// Gives a key back whose commands were not sent.
    pub async fn forget(&self, ticket: Ticket) {
        if let Err(error) = self.store.forget(&ticket.id, &ticket.record.run).await {
            tracing::error!(category = "idempotency", error = %error, "a key was not given back");
        }
    }
}

/// The SHA-256 of some texts, told apart by their lengths.
fn digest_of(texts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests;
