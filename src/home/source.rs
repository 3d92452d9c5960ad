//! Sources of secrets: the home's token, and the certificates and headers that some homes need.
//!
//! [`SecretSource`] is the trait. [`SsmSource`] reads from Parameter Store. The other sources are for local use.

mod error;
mod homes;
mod ssm;
mod versions;

use std::path::PathBuf;

pub use error::{Origin, Setting, SourceError, SourceFault};
use futures_util::future::BoxFuture;
pub use homes::{HomeStore, KeptSecret, StoredHome, StoredToken};
use secrecy::SecretString;
pub use ssm::{Encryption, SsmHomes, SsmSource, SsmVersions};
pub use versions::{StoreOutcome, StoredVersion, TokenVersions, Versions};

/// A place that one secret can be read from.
pub trait SecretSource: Send + Sync {
    /// Reads the current secret, without a cache.
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>>;

    /// Returns the place that the source reads, for error messages.
    fn origin(&self) -> Origin;
}

impl<T: SecretSource + ?Sized> SecretSource for std::sync::Arc<T> {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        (**self).fetch()
    }

    fn origin(&self) -> Origin {
        (**self).origin()
    }
}

/// A secret as it was stored.
#[derive(Debug)]
pub struct StoredSecret {
    /// The text of the secret, not yet checked.
    pub value: SecretString,
    /// The version of the parameter; `None` if the source keeps no versions.
    pub version: Option<i64>,
}

/// A source that reads the token from `HA_TOKEN`, for local use only.
#[derive(Debug)]
pub struct VariableSource(SecretString);

impl VariableSource {
    /// Creates a source that always returns `value`.
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

    fn origin(&self) -> Origin {
        Origin::new(Setting::TokenVariable, "")
    }
}

/// A source that reads the token from a file, for local use only.
#[derive(Debug)]
pub struct FileSource(PathBuf);

impl FileSource {
    /// Creates a source that reads the file `path` at each fetch.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn read(&self) -> Result<StoredSecret, SourceError> {
        let fault = match std::fs::read_to_string(&self.0) {
            Ok(text) => {
                return Ok(StoredSecret {
                    value: text.into(),
                    version: None,
                });
            }
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound => SourceFault::NotFound,
                std::io::ErrorKind::PermissionDenied => SourceFault::AccessDenied,
                kind => SourceFault::Failed {
                    code: kind.to_string(),
                },
            },
        };
        Err(self.origin().failed(fault))
    }
}

impl SecretSource for FileSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        // The file is small and local, so a blocking read is cheaper than a thread.
        Box::pin(std::future::ready(self.read()))
    }

    fn origin(&self) -> Origin {
        Origin::new(Setting::TokenFile, self.0.display().to_string())
    }
}
