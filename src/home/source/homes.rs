//! Homes that are stored by name. Each home has its own set of parameters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::base::clock::{Clock, Timestamp};
use crate::base::home_name::HomeName;
use crate::base::lock::Lock;

use super::{Origin, SecretSource, Setting, SourceError, SourceFault, StoredSecret, TokenVersions};

/// All stored parameters of one home.
#[derive(Debug)]
pub struct StoredHome {
    /// The home's address.
    pub url: StoredSecret,
    /// The home's token.
    pub token: StoredSecret,
    /// The certificates of the home's own certificate authorities (CAs).
    pub ca: Option<StoredSecret>,
    /// The client certificate with its private key.
    pub client_cert: Option<StoredSecret>,
    /// Extra headers for each request to the home.
    pub headers: Option<StoredSecret>,
}

impl StoredHome {
    /// Returns the versions of all parameters except the token. Equal versions mean unchanged settings.
    fn settings(&self) -> [Option<i64>; 4] {
        let version = |stored: &Option<StoredSecret>| stored.as_ref().and_then(|it| it.version);
        [
            self.url.version,
            version(&self.ca),
            version(&self.client_cert),
            version(&self.headers),
        ]
    }
}

/// A store of homes by name.
pub trait HomeStore: Send + Sync {
    /// Reads all parameters of one home in one call. The error is [`SourceFault::NotFound`] if the address or the token
    /// is missing.
    fn read<'a>(&'a self, home: &'a HomeName) -> BoxFuture<'a, Result<StoredHome, SourceError>>;

    /// Returns the names of all stored homes, sorted.
    fn list(&self) -> BoxFuture<'_, Result<Vec<HomeName>, SourceError>>;

    /// Returns the stored versions of a home's token.
    fn versions(&self, home: &HomeName) -> Arc<dyn TokenVersions>;

    /// Returns the home that a parameter belongs to and the last part of the parameter's name.
    fn owner<'a>(&self, parameter: &'a str) -> Option<(HomeName, &'a str)>;
}

/// The time that the token from opening the home counts as current.
const FIRST_KEEPS: Duration = Duration::from_secs(5);

/// The token of a stored home. A fetch reads all parameters of the home. If another parameter has changed, the fetch
/// fails with [`SourceFault::Superseded`], because the token may belong to another home now.
pub struct StoredToken {
    store: Arc<dyn HomeStore>,
    home: HomeName,
    settings: [Option<i64>; 4],
    /// The token that was read when the home was opened, with the time of that read. The first fetch takes it.
    first: Lock<Option<(StoredSecret, Timestamp)>>,
    clock: Arc<dyn Clock>,
    outdated: Arc<AtomicBool>,
}

impl StoredToken {
    /// Creates the source from `stored` and takes the token out of it. `stored` must have been read just now.
    pub fn new(
        store: Arc<dyn HomeStore>,
        home: HomeName,
        stored: &mut StoredHome,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let settings = stored.settings();
        let nothing = StoredSecret {
            value: SecretString::default(),
            version: None,
        };
        let first = std::mem::replace(&mut stored.token, nothing);
        Self {
            store,
            home,
            settings,
            first: Lock::new(Some((first, clock.now()))),
            clock,
            outdated: Arc::default(),
        }
    }

    /// Returns the flag that is set when a parameter other than the token has changed.
    pub fn outdated(&self) -> Arc<AtomicBool> {
        self.outdated.clone()
    }

    async fn read(&self) -> Result<StoredSecret, SourceError> {
        let stored = self.store.read(&self.home).await?;
        if stored.settings() != self.settings {
            self.outdated.store(true, Ordering::Relaxed);
            // The token may belong to another home now, so it must not be sent to this home.
            return Err(self.origin().failed(SourceFault::Superseded));
        }
        Ok(stored.token)
    }
}

impl SecretSource for StoredToken {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        let first = self
            .first
            .lock()
            .take()
            // A later fetch, for example after a freeze, must read the current token.
            .filter(|(_, at)| self.clock.now().since(*at) < FIRST_KEEPS);
        match first {
            Some((first, _)) => Box::pin(std::future::ready(Ok(first))),
            None => Box::pin(self.read()),
        }
    }

    fn origin(&self) -> Origin {
        Origin::new(Setting::Home, self.home.as_str())
    }
}

/// A secret that was read together with other parameters and is held in memory.
#[derive(Debug)]
pub struct KeptSecret(StoredSecret);

impl KeptSecret {
    /// Creates a source that always returns `stored`.
    pub fn new(stored: StoredSecret) -> Self {
        Self(stored)
    }
}

impl SecretSource for KeptSecret {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        let stored = StoredSecret {
            value: self.0.value.clone(),
            version: self.0.version,
        };
        Box::pin(std::future::ready(Ok(stored)))
    }

    /// The origin is the home, without a name: a fetch never fails, so no error message shows the origin.
    fn origin(&self) -> Origin {
        Origin::new(Setting::Home, "")
    }
}
