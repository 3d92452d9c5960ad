//! Reading the token from its source, and what is kept of it.

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

/// With less than this left of a token, whoever reads the log is told.
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
    /// Where rejections are kept for the next service of the same home, and what the home is called there.
    pub(super) rejections: Option<(Arc<Rejections>, String)>,
    /// How often the memory was cleared: a read that began before leaves nothing behind.
    pub(super) clearings: u64,
    /// How often the source was asked and answered with a token that may be used.
    pub(super) fetches: u64,
}

impl State {
    /// Whether another read has ended well since `started`.
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
                self.report_end(token, now);
            }
            Err(error) => {
                let mut state = self.state.lock();
                match error {
                    _ if state.is_overtaken(started) => {}
                    // Whoever deleted it meant it.
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

    /// The failure of a read that nobody waits for any longer.
    pub(super) fn timed_out(&self) -> TokenError {
        self.source.origin().failed(SourceFault::TimedOut).into()
    }

    /// Tells when a token ends, by its own word.
    fn report_end(&self, token: &Token, now: Timestamp) {
        let Some(end) = token.expires_at else { return };
        let left = end.saturating_sub(now.unix);
        self.ambient
            .meter
            .record(Metric::TokenDaysToExpiry(days(left)));
        if left < EXPIRES_SOON {
            tracing::warn!(
                fingerprint = %token.fingerprint(), hours_left = left.as_secs() / 3_600, category = "token",
                "the token ends soon; store another one"
            );
        }
    }

    /// Says that the last good token is used for want of a newer reading.
    pub(super) fn served_stale(&self, token: Token, error: Option<&TokenError>) -> Token {
        self.ambient.meter.record(Metric::TokenStale);
        let error = error.map(ToString::to_string);
        tracing::warn!(
            fingerprint = %token.fingerprint(), version = token.version, error, category = "token", stage = "token",
            "the last good token is used: it could not be read again"
        );
        token
    }

    /// Checks what was fetched and keeps it. An error is never kept.
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
            tracing::warn!(%fingerprint, "the token is not a JWT, so its end cannot be told");
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
        // A slow read does not undo a quicker one that began after it.
        if !state.is_overtaken(started) && state.clearings == clearings {
            // As old as the asking for it: a sandbox may have been frozen before the answer was read.
            state.cache.put(token.clone(), started, ttl);
        }
        state.fetches += 1;
        Ok(token)
    }
}
