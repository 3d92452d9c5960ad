//! A place that keeps a token with the versions that came before it, and takes another.

use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use super::SourceError;

/// One version of a stored token.
#[derive(Debug)]
pub struct StoredVersion {
    /// Its number; later ones are greater.
    pub number: i64,
    /// Its text.
    pub value: SecretString,
    /// The key it is encrypted with.
    pub key_id: Option<String>,
    /// When it was stored, since the Unix epoch.
    pub stored_at: Duration,
}

/// What came of storing a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It is stored.
    Stored {
        /// As this version.
        version: i64,
    },
    /// It is not stored.
    Refused(SourceError),
    /// It may or may not be stored.
    Unknown(SourceError),
}

/// A stored token with its history.
#[derive(Debug)]
pub struct Versions {
    /// What tells the place apart from all others anywhere: an ARN.
    pub place: String,
    /// All versions, oldest first.
    pub all: Vec<StoredVersion>,
}

/// A place that keeps the versions of a token.
pub trait TokenVersions: Send + Sync {
    /// Reads all versions.
    fn read(&self) -> BoxFuture<'_, Result<Versions, SourceError>>;

    /// Stores another version over the current one, encrypted with the same key.
    fn store<'a>(
        &'a self,
        value: &'a SecretString,
        key_id: Option<&'a str>,
    ) -> BoxFuture<'a, StoreOutcome>;
}
