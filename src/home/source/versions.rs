//! A store that keeps all versions of a token and accepts new versions.

use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use super::SourceError;

/// One version of a stored token.
#[derive(Debug)]
pub struct StoredVersion {
    /// The version number. A later version has a greater number.
    pub number: i64,
    /// The token's text.
    pub value: SecretString,
    /// The KMS key that encrypts the version.
    pub key_id: Option<String>,
    /// The time of storing, since the Unix epoch.
    pub stored_at: Duration,
}

/// The outcome of storing a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The version is stored.
    Stored {
        /// The number of the new version.
        version: i64,
    },
    /// The version is not stored.
    Refused(SourceError),
    /// The version may or may not be stored.
    Unknown(SourceError),
}

/// All stored versions of a token.
#[derive(Debug)]
pub struct Versions {
    /// The globally unique name of the parameter: its ARN.
    pub place: String,
    /// All versions, oldest first.
    pub all: Vec<StoredVersion>,
}

/// A store that keeps the versions of one token.
pub trait TokenVersions: Send + Sync {
    /// Reads all versions.
    fn read(&self) -> BoxFuture<'_, Result<Versions, SourceError>>;

    /// Stores `value` as the new current version, encrypted with the key `key_id`.
    fn store<'a>(
        &'a self,
        value: &'a SecretString,
        key_id: Option<&'a str>,
    ) -> BoxFuture<'a, StoreOutcome>;
}
