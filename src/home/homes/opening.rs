//! Opening a stored home. Concurrent callers share one read of its parameters.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::builder::HomeParts;
use super::{Home, Homes, HomesError, Opening, Stored};
use crate::base::config::HomeAddress;
use crate::base::home_name::HomeName;
use crate::home::home_assistant::{Extras, Labels};
use crate::home::source::{
    HomeStore, KeptSecret, SecretSource, SourceError, SourceFault, StoredHome, StoredToken,
};

impl Homes {
    pub(super) async fn open(
        &self,
        store: &Arc<dyn HomeStore>,
        name: &HomeName,
    ) -> Result<Arc<Home>, HomesError> {
        let opening = {
            let mut stored = self.stored.lock();
            match stored.open.get(name) {
                Some(home) if !home.is_outdated() => return Ok(home.clone()),
                _ => stored.opening.entry(name.clone()).or_default().clone(),
            }
        };
        let guard = OpeningGuard {
            homes: self,
            name,
            opening: &opening,
        };
        let opened = opening.get_or_try_init(|| self.read(store, name)).await;
        drop(guard);
        let mut stored = self.stored.lock();
        // False if the parameters changed during the read. The entry then belongs to a newer read, or it has been
        // removed.
        let is_current = stored.forget(name, &opening);
        let home = opened?.clone();
        if is_current {
            // The home is inserted after it was opened, so an unknown name never evicts an open home.
            stored.open.put(name.clone(), home.clone());
        }
        Ok(home)
    }

    async fn read(
        &self,
        store: &Arc<dyn HomeStore>,
        name: &HomeName,
    ) -> Result<Arc<Home>, HomesError> {
        let mut stored = store.read(name).await.map_err(|error| match error {
            SourceError {
                fault: SourceFault::NotFound,
                ..
            } => HomesError::Unknown {
                name: name.as_str().to_owned(),
                error,
            },
            error => HomesError::Source(error),
        })?;
        let address =
            HomeAddress::parse(stored.url.value.expose_secret().trim()).map_err(|error| {
                HomesError::Address {
                    name: name.as_str().to_owned(),
                    error,
                }
            })?;
        let clock = self.builder.clock.clone();
        let token = StoredToken::new(store.clone(), name.clone(), &mut stored, clock);
        let home = self.builder.build(HomeParts {
            name: Some(name.clone()),
            address,
            outdated: token.outdated(),
            token: Box::new(token),
            versions: Some(store.versions(name)),
            extras: extras(stored),
        });
        Ok(Arc::new(home))
    }
}

impl Stored {
    /// Removes the entry of a home that is being opened. Returns false if the entry is missing or belongs to a newer
    /// attempt.
    fn forget(&mut self, name: &HomeName, opening: &Opening) -> bool {
        let current = self.opening.get(name);
        let is_current = current.is_some_and(|current| Arc::ptr_eq(current, opening));
        if is_current {
            self.opening.remove(name);
        }
        is_current
    }
}

/// A guard that removes the entry of a home that is being opened, if the caller is cancelled before the home is open.
struct OpeningGuard<'a> {
    homes: &'a Homes,
    name: &'a HomeName,
    opening: &'a Opening,
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        if !self.opening.initialized() {
            self.homes.stored.lock().forget(self.name, self.opening);
        }
    }
}

fn extras(stored: StoredHome) -> Extras {
    let kept = |secret: Option<_>| -> Option<Box<dyn SecretSource>> {
        secret.map(|secret| Box::new(KeptSecret::new(secret)) as Box<dyn SecretSource>)
    };
    Extras {
        ca: kept(stored.ca),
        client_cert: kept(stored.client_cert),
        headers: kept(stored.headers),
        labels: Labels::PARAMETERS,
    }
}
