//! Runs a repeated request only once. The caller's idempotency key and the first outcome are stored for one day.
//!
//! A record is begun before the commands are sent, and finished with their outcome. A record that was begun but not
//! finished belongs to an invocation that crashed or is still in flight. Its commands may have reached the home, so the
//! outcome is `unknown` and the commands are not run again. If no command was sent, the record is deleted, and the
//! caller can retry.

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

/// The time for which an outcome is stored.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum size of a stored outcome. A DynamoDB item can have 400 KB.
pub const MAX_OUTCOME_BYTES: usize = 350 * 1024;

/// A caller's idempotency key: 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks the length of `text`. Returns `None` if it is not 1 to 255 characters.
    pub fn new(text: String) -> Option<Self> {
        (1..=255)
            .contains(&text.chars().count())
            .then_some(Self(text))
    }
}

/// The stored state of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The SHA-256 of the commands.
    pub request: String,
    /// The random id of the run that began this record.
    pub run: String,
    /// The outcome. `None` until the record is finished.
    pub outcome: Option<Remembered>,
}

/// A stored outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The results, as JSON.
    Results(String),
    /// The commands were run, but their results were too large to store.
    TooLarge,
}

/// The error of a record that could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of idempotency keys could not be used ({0})")]
pub struct StoreError(pub String);

/// The outcome of beginning a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The record is begun.
    Begun,
    /// The key is in use. This is the record that another run has begun.
    InUse(Record),
}

/// A store for records.
pub trait OutcomeStore: Send + Sync {
    /// Begins a record, unless another run has a record under this id that has not expired.
    fn begin<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Begin, StoreError>>;

    /// Finishes a record with its outcome if the record still belongs to the same run.
    fn finish<'a>(
        &'a self,
        id: &'a str,
        record: Record,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Deletes a record if it still belongs to `run`.
    fn forget<'a>(&'a self, id: &'a str, run: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The decision on a request with an idempotency key.
#[derive(Debug)]
pub enum Admission {
    /// The key is new. Run the commands, then finish or forget the ticket.
    Run(Ticket),
    /// The key was used for these commands, with these results.
    Repeat(Box<RawValue>),
    /// The key was used for these commands, but their results were too large to store.
    TooLarge,
    /// The key was used for these commands, and their outcome is unknown.
    Unknown,
    /// The key was used for other commands.
    Mismatch,
}

/// A begun record. Its holder must record or forget the outcome of the commands.
#[derive(Debug)]
pub struct Ticket {
    id: String,
    record: Record,
}

/// Stores outcomes by idempotency key.
pub struct Idempotency {
    store: Box<dyn OutcomeStore>,
    clock: Arc<dyn Clock>,
    random: Random,
}

impl Idempotency {
    /// Creates an instance with its records in `store`. `random` generates the ids of runs.
    pub fn new(store: Box<dyn OutcomeStore>, clock: Arc<dyn Clock>, random: Random) -> Self {
        Self {
            store,
            clock,
            random,
        }
    }

    /// Looks a key up and begins a record for a new key. Equal keys in different scopes are different keys.
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
            Begin::Begun => Admission::Run(Ticket { id, record }),
            Begin::InUse(found) if found.request != record.request => Admission::Mismatch,
            Begin::InUse(Record { outcome, .. }) => match outcome {
                None => Admission::Unknown,
                Some(Remembered::TooLarge) => Admission::TooLarge,
                Some(Remembered::Results(json)) => Admission::Repeat(
                    RawValue::from_string(json)
                        .map_err(|_| StoreError("the record is damaged".into()))?,
                ),
            },
        })
    }

    /// Records the results of a ticket's commands. If this fails, a repeated request gets the outcome `unknown`.
    pub async fn finish(&self, ticket: Ticket, results: String) {
        let outcome = if results.len() <= MAX_OUTCOME_BYTES {
            Remembered::Results(results)
        } else {
            Remembered::TooLarge
        };
        self.record(ticket, outcome).await;
    }

    /// Records that a ticket's commands were run, without their results.
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
            tracing::error!(category = "idempotency", error = %error, "the outcome was not recorded");
        }
    }

    /// Releases a key whose commands were not sent.
    pub async fn forget(&self, ticket: Ticket) {
        if let Err(error) = self.store.forget(&ticket.id, &ticket.record.run).await {
            tracing::error!(category = "idempotency", error = %error, "the idempotency key was not released");
        }
    }
}

/// Returns the SHA-256 of several texts. Each text is preceded by its length, so that their boundaries are unambiguous.
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
