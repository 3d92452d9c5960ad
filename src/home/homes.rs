//! The homes that this latchkey serves: the default home from the environment, and any number of homes stored by name.
//!
//! Each home has its own bridge with its own token, session and circuit breaker. A failure of one home therefore never
//! affects another home, and a token is only ever sent to its own home. A stored home is opened at its first use. An
//! execution environment keeps a limited number of stored homes open. The least recently used home is closed first, and
//! its token is zeroed with it.

mod builder;
mod error;
mod home;
mod opening;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

pub use builder::HomeBuilder;
pub use error::HomesError;
pub use home::Home;
use lru::LruCache;

use crate::base::home_name::HomeName;
use crate::base::lock::Lock;
use crate::base::metrics::Metric;
use crate::base::parameter::ParameterName;
use crate::home::source::HomeStore;

/// The default number of stored homes that one execution environment keeps open.
pub const KEPT_HOMES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// The home for requests that name no home, with the parameters that belong to the home.
pub struct DefaultHome {
    /// The home.
    pub home: Home,
    /// The parameter that holds the home's token.
    pub token_parameter: Option<String>,
    /// The parameters that hold the other settings of the home.
    pub setting_parameters: Vec<String>,
}

/// A home that is being opened. Concurrent callers wait for the same cell.
type Opening = Arc<tokio::sync::OnceCell<Arc<Home>>>;

struct Stored {
    open: LruCache<HomeName, Arc<Home>>,
    opening: HashMap<HomeName, Opening>,
}

/// The effect of a changed parameter on the open homes.
pub enum Change {
    /// The parameter affects none of the open homes.
    None,
    /// The token of this home changed.
    Token(Arc<Home>),
    /// Another setting of this home changed. The change has already been applied.
    Settings(Arc<Home>),
    /// Another setting of this home changed, and the home could not be opened with the new settings.
    Failed(HomeName, HomesError),
}

/// The set of stored homes that [`Homes::all`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// At most as many homes as this execution environment keeps open.
    Kept,
    /// Every stored home.
    Stored,
}

/// All homes that this latchkey serves.
pub struct Homes {
    builder: HomeBuilder,
    default: Option<Arc<Home>>,
    token_parameter: Option<String>,
    setting_parameters: Vec<String>,
    store: Option<Arc<dyn HomeStore>>,
    stored: Lock<Stored>,
    /// The tenant that this execution environment is bound to. The first invocation with a tenant sets it.
    tenant: OnceLock<HomeName>,
}

impl Homes {
    /// Creates the homes from an optional default home and an optional store. At most `kept` stored homes are open at a
    /// time.
    pub fn new(
        builder: HomeBuilder,
        default: Option<DefaultHome>,
        store: Option<Arc<dyn HomeStore>>,
        kept: NonZeroUsize,
    ) -> Self {
        let (default, token_parameter, setting_parameters) = match default {
            Some(default) => (
                Some(Arc::new(default.home)),
                default.token_parameter,
                default.setting_parameters,
            ),
            None => (None, None, Vec::new()),
        };
        Self {
            builder,
            default,
            token_parameter,
            setting_parameters,
            store,
            stored: Lock::new(Stored {
                open: LruCache::new(kept),
                opening: HashMap::new(),
            }),
            tenant: OnceLock::new(),
        }
    }

    /// Returns true if homes are stored by name, so that there can be several.
    pub fn are_several(&self) -> bool {
        self.store.is_some()
    }

    /// Returns true if a request that names no home has a default home.
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// Returns the home that a request is for. `tenant` is the tenant that Lambda has bound this execution environment
    /// to, if any.
    pub async fn find(
        &self,
        wanted: Option<&HomeName>,
        tenant: Option<&str>,
    ) -> Result<Arc<Home>, HomesError> {
        let Some(store) = &self.store else {
            return match (&self.default, wanted) {
                (Some(home), None) => Ok(home.clone()),
                (_, Some(_)) => Err(HomesError::OnlyOne),
                (None, None) => Err(HomesError::NotNamed),
            };
        };
        let bound = self.bind(tenant).await?;
        let name = match (bound, wanted) {
            (Some(bound), Some(wanted)) if bound != wanted => return Err(self.violation()),
            (Some(bound), _) => bound,
            (None, Some(wanted)) => wanted,
            (None, None) => return self.default.clone().ok_or(HomesError::NotNamed),
        };
        self.open(store, name).await
    }

    /// Returns the names of all homes, for work that covers every home. The order is: open homes, then the other stored
    /// homes, then the default home as `None`. [`Self::find`] opens a home by its name. If the stored homes cannot be
    /// listed, the error takes their place in the list.
    pub async fn all(
        &self,
        tenant: Option<&str>,
        extent: Extent,
    ) -> Result<Vec<Result<Option<HomeName>, HomesError>>, HomesError> {
        let Some(store) = &self.store else {
            return Ok(vec![Ok(None)]);
        };
        if let Some(bound) = self.bind(tenant).await? {
            return Ok(vec![Ok(Some(bound.clone()))]);
        }
        let (mut names, kept): (Vec<HomeName>, usize) = {
            let stored = self.stored.lock();
            // The least recently used home comes first. The caller uses the homes in this order, so the LRU order stays
            // the same.
            let names = stored.open.iter().rev().map(|(name, _)| name.clone());
            (names.collect(), stored.open.cap().get())
        };
        let failure = match store.list().await {
            Ok(listed) => {
                let others = listed.into_iter().filter(|name| !names.contains(name));
                let room = match extent {
                    Extent::Kept => kept.saturating_sub(names.len()),
                    Extent::Stored => usize::MAX,
                };
                let others: Vec<HomeName> = others.take(room).collect();
                names.extend(others);
                None
            }
            Err(error) => Some(Err(HomesError::Source(error))),
        };
        let mut all: Vec<_> = names.into_iter().map(|name| Ok(Some(name))).collect();
        all.extend(failure);
        all.extend(self.default.is_some().then_some(Ok(None)));
        Ok(all)
    }

    /// Returns all open homes. In an execution environment that is bound to a tenant, the default home is left out.
    pub fn open_ones(&self) -> Vec<Arc<Home>> {
        let is_bound = self.tenant.get().is_some();
        let default = self.default.iter().filter(|_| !is_bound);
        let mut homes: Vec<Arc<Home>> = default.cloned().collect();
        homes.extend(self.stored.lock().open.iter().map(|(_, home)| home.clone()));
        homes
    }

    /// Finds the home that a changed parameter belongs to and applies the change. A home that is not open needs no
    /// update.
    pub async fn changed(&self, parameter: &str) -> Change {
        let is = |name: &String| is_same_parameter(name, parameter);
        let is_bound = self.tenant.get().is_some();
        if let Some(default) = self.default.as_ref().filter(|_| !is_bound) {
            if self.token_parameter.as_ref().is_some_and(is) {
                return Change::Token(default.clone());
            }
            if self.setting_parameters.iter().any(is) {
                default.bridge.settings_changed().await;
                return Change::Settings(default.clone());
            }
        }
        let owner = self.store.as_ref().and_then(|store| store.owner(parameter));
        let Some((name, leaf)) = owner else {
            return Change::None;
        };
        let is_token = leaf == "token";
        let home = {
            let mut stored = self.stored.lock();
            // A read in progress may have started before the change, so its result must not be kept.
            stored.opening.remove(&name);
            if is_token {
                stored.open.peek(&name).cloned()
            } else {
                stored.open.pop(&name)
            }
        };
        match home {
            None => Change::None,
            Some(home) if is_token => Change::Token(home),
            Some(home) => {
                home.outdated
                    .store(true, std::sync::atomic::Ordering::Relaxed);
                // Reopens the home now, so that the next caller does not have to wait for it.
                match self.find(Some(&name), None).await {
                    Ok(home) => Change::Settings(home),
                    Err(error) => Change::Failed(name, error),
                }
            }
        }
    }

    /// Drops all tokens and connections, because they must not be part of a snapshot of this process.
    pub async fn suspend(&self) {
        for home in self.open_ones() {
            home.bridge.suspend().await;
        }
    }

    /// Binds this execution environment to the first tenant that is named, permanently. Returns the bound tenant.
    async fn bind(&self, tenant: Option<&str>) -> Result<Option<&HomeName>, HomesError> {
        let Some(tenant) = tenant else {
            return Ok(self.tenant.get());
        };
        let name = HomeName::new(tenant).ok_or(HomesError::NoName)?;
        let mut is_first = false;
        let bound = self.tenant.get_or_init(|| {
            is_first = true;
            name.clone()
        });
        if is_first && let Some(default) = &self.default {
            // The default home does not belong to this tenant, and INIT may have opened it.
            default.bridge.suspend().await;
        }
        if *bound == name {
            Ok(Some(bound))
        } else {
            Err(self.violation())
        }
    }

    fn violation(&self) -> HomesError {
        self.builder.meter(None).record(Metric::TenantViolation);
        HomesError::OtherTenant
    }
}

/// Returns true if `configured` names the parameter `changed`. Either name may be an ARN or lack its leading slash.
///
/// A parameter that is pinned to a version or a label also matches. The label may have moved, or the parameter may have
/// been deleted.
fn is_same_parameter(configured: &str, changed: &str) -> bool {
    match (
        ParameterName::parse(configured),
        ParameterName::parse(changed),
    ) {
        (Ok(configured), Ok(changed)) => configured.is_same(&changed),
        (Err(_), _) | (_, Err(_)) => configured == changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_same_parameter_matches_names_arns_and_pinned_versions() {
        let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b";
        let pinned = format!("{arn}:prod");
        for (configured, changed) in [
            ("/a/b", "/a/b"),
            (arn, "/a/b"),
            ("/a/b", arn),
            ("a", "/a"),
            ("/a/b:1", "/a/b"),
            (&pinned, "/a/b"),
        ] {
            assert!(
                is_same_parameter(configured, changed),
                "{configured} {changed}"
            );
        }
        assert!(!is_same_parameter("/a/b", "/a/c"));
        assert!(!is_same_parameter(arn, "/b"));
    }
}
