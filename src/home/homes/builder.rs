//! What every home is built with.

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

/// Builds homes that share what sandboxes have one of: the clock, metrics, the place for verdicts, randomness.
pub struct HomeBuilder {
    /// The limits on talking to a home.
    pub limits: HomeLimits,
    /// How long a token is kept.
    pub token_ttl: Duration,
    /// Which texts count as a token.
    pub token_format: TokenFormat,
    /// How failed connections are tried again.
    pub retry: Retry,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where values measured go.
    pub metrics: Arc<Metrics>,
    /// Where verdicts are shared, if anywhere.
    pub verdicts: Option<Arc<dyn VerdictStore>>,
    /// What homes have rejected, for when they are opened again.
    pub rejections: Arc<Rejections>,
    /// The process's randomness.
    pub random: Random,
}

/// What one home is built of.
pub(super) struct HomeParts {
    /// The name, if the home is stored by name.
    pub(super) name: Option<HomeName>,
    /// The address.
    pub(super) address: HomeAddress,
    /// The source of the token.
    pub(super) token: Box<dyn SecretSource>,
    /// The versions of the token's parameter, if the token is in one.
    pub(super) versions: Option<Arc<dyn TokenVersions>>,
    /// The certificates and headers that a private home needs.
    pub(super) extras: Extras,
    /// Set once the stored settings of the home have changed.
    pub(super) outdated: Arc<AtomicBool>,
}

impl HomeBuilder {
    /// The home that is not stored by name.
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
        // A name cannot be mistaken for an address, which has a scheme.
        let scope = match &name {
            Some(name) => name.as_str().to_owned(),
            None => address.to_string(),
        };
        let tokens = TokenService::new(token, self.token_format, self.token_ttl, ambient.clone());
        // A token is rejected by the home at an address, whatever it is called: what is said of one must not be held
        // against another.
        let place = format!("{scope} {address}");
        let tokens = tokens.with_rejections(self.rejections.clone(), place.clone());
        let session = Session::new(address, self.limits, extras, self.clock.clone());
        let verdicts = self.verdicts.as_ref().map(|store| Verdicts {
            store: store.clone(),
            scope: place.clone(),
            // Settings may have to be read before the home is asked.
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
