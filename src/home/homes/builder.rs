//! Building a home from its parts and the shared services.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::home::Home;
use crate::base::ambient::Ambient;
use crate::base::clock::Clock;
use crate::base::config::{HomeAddress, HomeLimits, TokenFormat};
use crate::base::home_name::HomeName;
use crate::base::metrics::{Meter, Metrics};
use crate::base::random::Random;
use crate::home::bridge::{Bridge, Retry};
use crate::home::home_assistant::{Extras, Session};
use crate::home::source::{SecretSource, TokenVersions};
use crate::home::token::{Rejections, TokenService};
use crate::home::verdict::{VerdictStore, Verdicts};

/// Builds homes that share the services of one execution environment: clock, metrics, verdict store and random numbers.
pub struct HomeBuilder {
    /// The timeouts and size limits for requests to a home.
    pub limits: HomeLimits,
    /// The time that a token is cached.
    pub token_ttl: Duration,
    /// The accepted token formats.
    pub token_format: TokenFormat,
    /// The retry policy for failed connections.
    pub retry: Retry,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The destination of the metrics.
    pub metrics: Arc<Metrics>,
    /// The store of shared verdicts, if verdicts are shared.
    pub verdicts: Option<Arc<dyn VerdictStore>>,
    /// The tokens that homes have rejected. Rejections stay known when a home is closed and opened again.
    pub rejections: Arc<Rejections>,
    /// The random number generator of the process.
    pub random: Random,
}

/// The parts that one home is built from.
pub(super) struct HomeParts {
    /// The home's name, if the home is stored by name.
    pub(super) name: Option<HomeName>,
    /// The home's address.
    pub(super) address: HomeAddress,
    /// The source of the token.
    pub(super) token: Box<dyn SecretSource>,
    /// The versions of the token's parameter, if a parameter holds the token.
    pub(super) versions: Option<Arc<dyn TokenVersions>>,
    /// The certificates and headers that a private home needs.
    pub(super) extras: Extras,
    /// Set to true when the stored settings of the home have changed.
    pub(super) outdated: Arc<AtomicBool>,
}

impl HomeBuilder {
    /// Builds the home that has no name.
    pub fn unnamed(
        &self,
        address: HomeAddress,
        token: Box<dyn SecretSource>,
        versions: Option<Arc<dyn TokenVersions>>,
        extras: Extras,
    ) -> Home {
        self.build(HomeParts {
            name: None,
            address,
            token,
            versions,
            extras,
            outdated: Arc::default(),
        })
    }

    pub(super) fn build(&self, parts: HomeParts) -> Home {
        let HomeParts {
            name,
            address,
            token,
            versions,
            extras,
            outdated,
        } = parts;
        let ambient = Ambient {
            clock: self.clock.clone(),
            random: self.random.clone(),
            meter: self.meter(name.as_ref()),
        };
        // An address has a scheme and a name has none, so the two cannot be confused.
        let scope = match &name {
            Some(name) => name.as_str().to_owned(),
            None => address.to_string(),
        };
        let tokens = TokenService::new(token, self.token_format, self.token_ttl, ambient.clone());
        // A rejection belongs to one name and one address. If another home takes over the name, the rejections of the
        // old home must not apply to it.
        let place = format!("{scope} {address}");
        let tokens = tokens.with_rejections(self.rejections.clone(), place.clone());
        let session = Session::new(address, self.limits, extras, self.clock.clone());
        let verdicts = self.verdicts.as_ref().map(|store| Verdicts {
            store: store.clone(),
            scope: place.clone(),
            // Twice the timeout: the settings may have to be read before the home is contacted.
            presentation_limit: self.limits.validate_timeout * 2,
            clock: self.clock.clone(),
            random: self.random.clone(),
        });
        let bridge = Bridge::new(tokens, session, verdicts, ambient).with_retry(self.retry);
        Home {
            name,
            scope,
            bridge,
            versions,
            outdated,
        }
    }

    pub(super) fn meter(&self, home: Option<&HomeName>) -> Meter {
        Meter::new(self.metrics.clone(), home.map(HomeName::shared))
    }
}
