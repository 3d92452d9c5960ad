//! What every home is built with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Home;
use crate::bridge::{Bridge, Retry};
use crate::clock::Clock;
use crate::config::{HomeAddress, HomeLimits, TokenFormat};
use crate::home_assistant::{Extras, Session};
use crate::metrics::{Meter, Metrics};
use crate::random::Random;
use crate::source::{HomeName, SecretSource, TokenVersions};
use crate::token::{Rejections, TokenService};
use crate::verdict::{VerdictStore, Verdicts};

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

impl HomeBuilder {
    /// The home that is not stored by name.
    pub fn unnamed(
        &self,
        address: HomeAddress,
        token: Box<dyn SecretSource>,
        versions: Option<Arc<dyn TokenVersions>>,
        extras: Extras,
    ) -> Home {
        self.build(None, address, token, versions, extras, Arc::default())
    }

    pub(super) fn build(
        &self,
        name: Option<HomeName>,
        address: HomeAddress,
        token: Box<dyn SecretSource>,
        versions: Option<Arc<dyn TokenVersions>>,
        extras: Extras,
        outdated: Arc<AtomicBool>,
    ) -> Home {
        let meter = self.meter(name.as_ref());
        // A name cannot be mistaken for an address, which has a scheme.
        let scope = match &name {
            Some(name) => name.as_str().to_owned(),
            None => address.to_string(),
        };
        let tokens = TokenService::new(
            token,
            self.token_format,
            self.token_ttl,
            self.clock.clone(),
            meter.clone(),
            self.random.clone(),
        );
        // A token is rejected by the home at an address, whatever it is called: what is said of one must not be held
        // against another.
        let place = format!("{scope} {address}");
        let tokens = tokens.with_rejections(self.rejections.clone(), place.clone());
        let session = Session::new(address, self.limits, extras, self.clock.clone());
        let verdicts = self.verdicts.as_ref().map(|store| {
            Verdicts::new(
                store.clone(),
                place.clone(),
                // Settings may have to be read before the home is asked.
                self.limits.validate_timeout * 2,
                self.clock.clone(),
                self.random.clone(),
            )
        });
        let bridge = Bridge::new(
            tokens,
            session,
            verdicts,
            self.retry,
            self.clock.clone(),
            meter,
            self.random.clone(),
        );
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
