//! Homes that are stored by name, each as a handful of parameters of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::base::clock::{Clock, Timestamp};
use crate::base::home_name::HomeName;
use crate::base::lock::Lock;

use super::{Origin, SecretSource, Setting, SourceError, SourceFault, StoredSecret, TokenVersions};

/// Everything that is stored of one home.
#[derive(Debug)]
pub struct StoredHome {
    /// Its address.
    pub url: StoredSecret,
    /// Its token.
    pub token: StoredSecret,
    /// Certificates of its own authorities.
    pub ca: Option<StoredSecret>,
    /// A client certificate and its key.
    pub client_cert: Option<StoredSecret>,
    /// Extra headers.
    pub headers: Option<StoredSecret>,
}

impl StoredHome {
    /// By which a home is known to be the same as before, but for its token.
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

/// A place that homes are stored in by name.
pub trait HomeStore: Send + Sync {
    /// Reads everything of one home, in one call. [`SourceFault::NotFound`] if it has no address or no token.
    fn read<'a>(&'a self, home: &'a HomeName) -> BoxFuture<'a, Result<StoredHome, SourceError>>;

    /// The names of all homes, in their order.
    fn list(&self) -> BoxFuture<'_, Result<Vec<HomeName>, SourceError>>;

    /// Where a home's token is kept with its versions.
    fn versions(&self, home: &HomeName) -> Arc<dyn TokenVersions>;

    /// Which home, and what of it, the parameter of this name belongs to.
    fn owner<'a>(&self, parameter: &'a str) -> Option<(HomeName, &'a str)>;
}

/// For how long the token that was read with its home may be taken for what is stored.
const FIRST_KEEPS: Duration = Duration::from_secs(5);

/// The token of a stored home. Reading it reads the home as a whole; if anything else of it has changed, the token is
/// not for those who hold this any more.
pub struct StoredToken {
    store: Arc<dyn HomeStore>,
    home: HomeName,
    settings: [Option<i64>; 4],
    /// The token that came with the home when it was opened, until it is asked for, and when that was.
    first: Lock<Option<(StoredSecret, Timestamp)>>,
    clock: Arc<dyn Clock>,
    outdated: Arc<AtomicBool>,
}

impl StoredToken {
    /// The token of `stored`, which must have been read just now.
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

    /// Returns the flag that is set once anything but the token of the stored home has changed.
    pub fn outdated(&self) -> Arc<AtomicBool> {
        self.outdated.clone()
    }

    async fn read(&self) -> Result<StoredSecret, SourceError> {
        let stored = self.store.read(&self.home).await?;
        if stored.settings() != self.settings {
            self.outdated.store(true, Ordering::Relaxed);
            // The token may be another home's by now, and must not be shown to this one.
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
            // Whoever asks later, after a freeze perhaps, wants to know what is stored then.
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

/// A secret that was read with others and is kept for whoever asks for it.
#[derive(Debug)]
pub struct KeptSecret(StoredSecret);

impl KeptSecret {
    /// A source that always yields `stored`.
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

    /// Reading it never fails, so it is known as the home that it was read with.
    fn origin(&self) -> Origin {
        Origin::new(Setting::Home, "")
    }
}
