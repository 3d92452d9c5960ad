//! Reads the token from its source, checks it and caches it.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::cache::{Token, TokenCache, Ttl};
use super::error::TokenError;
use super::format::inspect;
use super::rejections::Rejections;
use crate::base::ambient::Ambient;
use crate::base::clock::{Timestamp, days};
use crate::base::config::TokenFormat;
use crate::base::lock::Lock;
use crate::base::metrics::Metric;
use crate::base::secret::AccessToken;
use crate::home::source::{SecretSource, SourceError, SourceFault, StoredSecret};

/// The remaining lifetime of a token below which a warning is logged.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

pub(super) struct Inner {
    pub(super) source: Box<dyn SecretSource>,
    pub(super) format: TokenFormat,
    pub(super) ttl: Duration,
    pub(super) ambient: Ambient,
    pub(super) state: Lock<State>,
}

pub(super) struct State {
    pub(super) cache: TokenCache,
    /// The store of rejections for the next service of the same home, and the home's key in that store.
    pub(super) rejections: Option<(Arc<Rejections>, String)>,
    /// The number of times the cache was cleared. A fetch that started before a clearing is not cached.
    pub(super) clearings: u64,
    /// The number of fetches that returned a usable token.
    pub(super) fetches: u64,
}

impl State {
    /// Returns true if a fetch that started after `started` has already succeeded.
    fn is_overtaken(&self, started: Timestamp) -> bool {
        let last = self.cache.last();
        last.is_some_and(|last| last.read_at.monotonic > started.monotonic)
    }
}

impl Inner {
    pub(super) async fn fetch(&self) -> Result<Token, TokenError> {
        let started = self.ambient.clock.now();
        let clearings = self.state.lock().clearings;
        let outcome = self.source.fetch().await;
        let now = self.ambient.clock.now();
        self.ambient
            .meter
            .record(Metric::TokenFetchLatency(now.since(started)));
        let outcome = outcome
            .map_err(TokenError::from)
            .and_then(|stored| self.accept(&stored, started, clearings));
        self.ambient
            .meter
            .record(Metric::TokenRefresh(outcome.is_ok()));
        match &outcome {
            Ok(token) => {
                tracing::info!(
                    fingerprint = %token.fingerprint(), version = token.version, stage = "token",
                    "token fetched"
                );
                self.report_expiry(token, now);
            }
            Err(error) => {
                let mut state = self.state.lock();
                match error {
                    _ if state.is_overtaken(started) => {}
                    // A deleted parameter means that the token must no longer be used.
                    TokenError::Source(SourceError {
                        fault: SourceFault::NotFound,
                        ..
                    }) => state.cache.clear(),
                    TokenError::Source(_)
                    | TokenError::Malformed { .. }
                    | TokenError::Expired { .. }
                    | TokenError::Rejected { .. } => state.cache.postpone(now),
                }
                tracing::warn!(error = %error, category = "token", stage = "token", "no usable token");
            }
        }
        outcome
    }

    /// Returns the error of a fetch that takes too long.
    pub(super) fn timed_out(&self) -> TokenError {
        self.source.origin().failed(SourceFault::TimedOut).into()
    }

    /// Reports the remaining lifetime of a token as a metric, and logs a warning if it is short.
    fn report_expiry(&self, token: &Token, now: Timestamp) {
        let Some(end) = token.expires_at else { return };
        let left = end.saturating_sub(now.unix);
        self.ambient
            .meter
            .record(Metric::TokenDaysToExpiry(days(left)));
        if left < EXPIRES_SOON {
            tracing::warn!(
                fingerprint = %token.fingerprint(), hours_left = left.as_secs() / 3_600, category = "token",
                "the token expires soon; store a new token"
            );
        }
    }

    /// Reports that the last good token is used, because the source could not be read again. Returns the token.
    pub(super) fn report_stale(&self, token: Token, error: Option<&TokenError>) -> Token {
        self.ambient.meter.record(Metric::TokenStale);
        let error = error.map(ToString::to_string);
        tracing::warn!(
            fingerprint = %token.fingerprint(), version = token.version, error, category = "token", stage = "token",
            "the last good token is used, because the token could not be read again"
        );
        token
    }

    /// Checks a fetched text and caches the token. An error is never cached.
    fn accept(
        &self,
        stored: &StoredSecret,
        started: Timestamp,
        clearings: u64,
    ) -> Result<Token, TokenError> {
        let now = self.ambient.clock.now();
        let inspected = inspect(stored.value.expose_secret(), self.format);
        let (text, claims) = inspected.map_err(|defect| TokenError::Malformed {
            origin: self.source.origin(),
            defect,
        })?;
        let token = Token {
            access: Arc::new(AccessToken::new(text.into())),
            version: stored.version,
            expires_at: claims.expires_at,
        };
        let fingerprint = token.fingerprint();
        if token.is_expired(now) {
            self.ambient.meter.record(Metric::TokenDaysToExpiry(0.0));
            return Err(TokenError::Expired {
                origin: self.source.origin(),
                fingerprint,
            });
        }
        if self.format == TokenFormat::Any && !text.contains('.') {
            tracing::warn!(%fingerprint, "the token is not a JWT, so its expiry is unknown");
        }
        let mut state = self.state.lock();
        if state.cache.is_rejected(fingerprint, stored.version) {
            return Err(TokenError::Rejected {
                origin: self.source.origin(),
                fingerprint,
                version: stored.version,
            });
        }
        let ttl = Ttl::new(self.ttl, self.ambient.random.f64());
        // A slow fetch must not overwrite the result of a faster fetch that started later.
        if !state.is_overtaken(started) && state.clearings == clearings {
            // The age counts from the start of the fetch, because the execution environment may have been frozen during
            // the fetch.
            state.cache.put(token.clone(), started, ttl);
        }
        state.fetches += 1;
        Ok(token)
    }
}
