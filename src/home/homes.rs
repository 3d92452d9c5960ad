//! The homes that this latchkey serves: the one the environment names, and any number that are stored by name.
//!
//! Each has a bridge of its own, with its own token, session and breaker, so that one home's failure never touches
//! another's and no token ever meets another home. Stored homes are opened when they are first needed. A sandbox keeps
//! a bounded number of them; the one that was not used for the longest time goes, and its token is zeroed with it.

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

/// How many stored homes one sandbox keeps open, unless it is told otherwise.
pub const KEPT_HOMES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// The home of those who name none, and the parameters that belong to it.
pub struct DefaultHome {
    /// The home.
    pub home: Home,
    /// The parameter that holds its token.
    pub token_parameter: Option<String>,
    /// The parameters that hold what else it needs.
    pub setting_parameters: Vec<String>,
}

/// A home that is being opened, so that whoever comes meanwhile waits for the same.
type Opening = Arc<tokio::sync::OnceCell<Arc<Home>>>;

struct Stored {
    open: LruCache<HomeName, Arc<Home>>,
    opening: HashMap<HomeName, Opening>,
}

/// What a changed parameter meant.
pub enum Change {
    /// Nothing to any home that is open here.
    None,
    /// The token of this home.
    Token(Arc<Home>),
    /// Something else of this home, which has been taken care of.
    Settings(Arc<Home>),
    /// Something else of this home, which cannot be opened as it is stored now.
    Failed(HomeName, HomesError),
}

/// How many homes "all" are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As many as are kept open.
    Kept,
    /// Every one that is stored.
    Stored,
}

/// All homes.
pub struct Homes {
    builder: HomeBuilder,
    default: Option<Arc<Home>>,
    token_parameter: Option<String>,
    setting_parameters: Vec<String>,
    store: Option<Arc<dyn HomeStore>>,
    stored: Lock<Stored>,
    /// The tenant that this sandbox belongs to, once an invocation has said so.
    tenant: OnceLock<HomeName>,
}

impl Homes {
    /// The homes of a store, and the one of those who name none; at most `kept` of the store's are open at a time.
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

    /// Whether there can be more than one.
    pub fn are_several(&self) -> bool {
        self.store.is_some()
    }

    /// Whether there is a home for those who name none.
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The home that a request is for. `tenant` is the tenant that Lambda has bound this sandbox to, if it has.
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

    /// All homes, for what is done to every one: those that are open, then those that are stored, each to be
    /// [found](Self::find) by its name; last the one without a name. If those that are stored cannot be listed, the
    /// failure stands in their place.
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
            // The least recently used first: each is going to be used, and the order shall stay.
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

    /// All homes that are open. In a tenant's sandbox the one without a name is none of them.
    pub fn open_ones(&self) -> Vec<Arc<Home>> {
        let is_bound = self.tenant.get().is_some();
        let default = self.default.iter().filter(|_| !is_bound);
        let mut homes: Vec<Arc<Home>> = default.cloned().collect();
        homes.extend(self.stored.lock().open.iter().map(|(_, home)| home.clone()));
        homes
    }

    /// Finds out whose a changed parameter is. Of a home that is not open there is nothing to be brought up to date.
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
            // What is being read may have been read before the change.
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
                // Opened again at once: whoever comes next shall not have to.
                match self.find(Some(&name), None).await {
                    Ok(home) => Change::Settings(home),
                    Err(error) => Change::Failed(name, error),
                }
            }
        }
    }

    /// Lets go of everything that must not be in a snapshot of this process.
    pub async fn suspend(&self) {
        for home in self.open_ones() {
            home.bridge.suspend().await;
        }
    }

    /// The tenant that this sandbox belongs to: the first that was named, for good.
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
            // It is none of this tenant's, and INIT may have opened it.
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

/// Whether `configured` names the parameter `changed`. Either may be an ARN, or have no slash at its beginning.
///
/// A parameter that is pinned to a version or a label counts as well: a label may have moved, and the parameter may
/// have been deleted.
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
    fn is_same_parameter_knows_names_arns_and_pinned_versions() {
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
