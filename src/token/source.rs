//! The role of a place that tokens are read from, and the one for local use.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

/// A place that a token can be read from.
pub trait TokenSource: Send + Sync {
    /// Reads the token afresh.
    fn fetch(&self) -> BoxFuture<'_, Result<StoredToken, SourceError>>;
}

impl<T: TokenSource + ?Sized> TokenSource for std::sync::Arc<T> {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredToken, SourceError>> {
        (**self).fetch()
    }
}

/// A token as it was stored.
#[derive(Debug)]
pub struct StoredToken {
    /// Its text, not yet inspected.
    pub value: SecretString,
    /// The version of the parameter; `None` where the place keeps no versions.
    pub version: Option<i64>,
}

/// Why a token could not be read. One variant for each thing an operator would do about it.
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

impl TokenSource for VariableSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredToken, SourceError>> {
        let stored = StoredToken {
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

    fn read(&self) -> Result<StoredToken, SourceError> {
        let place = format!("the file {}", self.0.display());
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(StoredToken {
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

impl TokenSource for FileSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredToken, SourceError>> {
        // A small local file: blocking for it is cheaper than a thread.
        Box::pin(std::future::ready(self.read()))
    }
}
