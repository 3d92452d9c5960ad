//! Places that secrets are read from: the token, and what a private or fenced home needs beside it.
//!
//! [`SecretSource`] is the role; [`SsmSource`] reads Parameter Store, the others are for local use.

mod homes;
mod ssm;
mod versions;

use std::path::PathBuf;

use futures_util::future::BoxFuture;
pub use homes::{HomeName, HomeStore, KeptSecret, StoredHome, StoredToken};
use secrecy::SecretString;
pub use ssm::{Encryption, SsmHomes, SsmSource, SsmVersions};
pub use versions::{StoreOutcome, StoredVersion, TokenVersions, Versions};

/// A place that a secret can be read from.
pub trait SecretSource: Send + Sync {
    /// Reads the secret afresh.
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>>;
}

impl<T: SecretSource + ?Sized> SecretSource for std::sync::Arc<T> {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        (**self).fetch()
    }
}

/// A secret as it was stored.
#[derive(Debug)]
pub struct StoredSecret {
    /// Its text, not yet inspected.
    pub value: SecretString,
    /// The version of the parameter; `None` where the place keeps no versions.
    pub version: Option<i64>,
}

/// Why a secret could not be read. One variant for each thing an operator would do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no such parameter or file.
    #[error("{place} does not exist")]
    NotFound {
        /// The parameter's or file's name.
        place: String,
    },
    /// The parameter is stored in clear text.
    #[error("the parameter {place} is a {kind}, not a SecureString")]
    NotSecure {
        /// The parameter's name.
        place: String,
        /// The type it has.
        kind: String,
    },
    /// The role may not read it.
    #[error("access to {place} is denied")]
    AccessDenied {
        /// The parameter's or file's name.
        place: String,
    },
    /// The key may not be used, is disabled or gone.
    #[error("{place} could not be decrypted ({code})")]
    Decryption {
        /// The parameter's name.
        place: String,
        /// The error code of SSM or KMS.
        code: String,
    },
    /// What was read belongs to another address, or other settings, than it was asked for.
    #[error("what is stored of {place} has changed")]
    Superseded {
        /// The home's name.
        place: String,
    },
    /// Too many requests.
    #[error("Parameter Store is limiting the rate of requests")]
    Throttled,
    /// No answer in time.
    #[error("Parameter Store did not answer in time")]
    TimedOut,
    /// No connection, or no credentials.
    #[error("Parameter Store could not be reached ({reason})")]
    Unreachable {
        /// What failed, without addresses or values.
        reason: &'static str,
    },
    /// Anything else.
    #[error("{place} could not be read ({code})")]
    Failed {
        /// The parameter's or file's name.
        place: String,
        /// The error code.
        code: String,
    },
}

/// A token from `HA_TOKEN`; local use only.
#[derive(Debug)]
pub struct VariableSource(SecretString);

impl VariableSource {
    /// A source that always yields `value`.
    pub fn new(value: SecretString) -> Self {
        Self(value)
    }
}

impl SecretSource for VariableSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        let stored = StoredSecret {
            value: self.0.clone(),
            version: None,
        };
        Box::pin(std::future::ready(Ok(stored)))
    }
}

/// A token from a file; local use only.
#[derive(Debug)]
pub struct FileSource(PathBuf);

impl FileSource {
    /// A source that reads `path` each time.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn read(&self) -> Result<StoredSecret, SourceError> {
        let place = format!("the file {}", self.0.display());
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(StoredSecret {
                value: text.into(),
                version: None,
            }),
            Err(error) => Err(match error.kind() {
                std::io::ErrorKind::NotFound => SourceError::NotFound { place },
                std::io::ErrorKind::PermissionDenied => SourceError::AccessDenied { place },
                kind => SourceError::Failed {
                    place,
                    code: kind.to_string(),
                },
            }),
        }
    }
}

impl SecretSource for FileSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        // A small local file: blocking for it is cheaper than a thread.
        Box::pin(std::future::ready(self.read()))
    }
}
