//! The token service: the home's token from its source, through a cache, one fetch at a time.
//!
//! It knows nothing of Home Assistant. Whoever presents a token reports a rejection with [`TokenService::reject`]; from
//! then on this service never hands that token out again, so no caller can present it twice.

mod cache;
mod format;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use cache::{Token, TokenCache, with_jitter};
pub use format::{Claims, Defect, inspect};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use secrecy::ExposeSecret as _;

use crate::clock::{Clock, Timestamp};
use crate::config::TokenFormat;
use crate::metrics::{Metric, Metrics};
use crate::secret::{AccessToken, Fingerprint};
use crate::source::{SecretSource, SourceError, StoredSecret};

/// Why there is no usable token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The source does not give one.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stored text cannot be a token.
    #[error("the stored text is not a token: {0}")]
    Malformed(#[from] Defect),
    /// The token has ended by its own word.
    #[error("the token {fingerprint} has expired")]
    Expired {
        /// Which token.
        fingerprint: Fingerprint,
    },
    /// The home has rejected the token, and the source still holds the same one.
    #[error("the home rejected the token {fingerprint} and no other is stored")]
    Rejected {
        /// Which token.
        fingerprint: Fingerprint,
        /// The version of the parameter that holds it.
        version: Option<i64>,
    },
}

/// A fetch that has not ended after this long has lost its callers, or the sandbox was frozen in the midst of it.
const FETCH_LIMIT: Duration = Duration::from_secs(6);

/// A fetch under way, and when it began.
struct Fetch {
    future: Shared<BoxFuture<'static, Result<Token, TokenError>>>,
    began: Timestamp,
}

/// Hands out the home's token.
pub struct TokenService {
    inner: Arc<Inner>,
    /// The fetch under way, joined by everyone who needs a token meanwhile.
    flight: Mutex<Option<Fetch>>,
}

struct Inner {
    source: Box<dyn SecretSource>,
    format: TokenFormat,
    ttl: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    // A std mutex: nothing awaits while it is held.
    state: Mutex<State>,
}

struct State {
    cache: TokenCache,
    random: fastrand::Rng,
    /// How often the source was asked and answered with a token that may be used.
    fetches: u64,
}

impl TokenService {
    /// A service with an empty cache. `seed` starts the jitter of its TTLs.
    pub fn new(
        source: Box<dyn SecretSource>,
        format: TokenFormat,
        ttl: Duration,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        seed: u64,
    ) -> Self {
        let state = Mutex::new(State {
            cache: TokenCache::default(),
            random: fastrand::Rng::with_seed(seed),
            fetches: 0,
        });
        Self {
            inner: Arc::new(Inner {
                source,
                format,
                ttl,
                clock,
                metrics,
                state,
            }),
            flight: Mutex::new(None),
        }
    }

    /// The token to present now: from memory while its TTL lasts, from the source otherwise. Never one that was rejected.
    pub async fn current(&self) -> Result<Token, TokenError> {
        if let Some(token) = self.cached() {
            return Ok(token);
        }
        let fetch = {
            let mut flight = lock(&self.flight);
            // The one who held the flight before may have landed it while we waited for the lock.
            if let Some(token) = self.cached() {
                return Ok(token);
            }
            let now = self.inner.clock.now();
            match flight.as_ref() {
                Some(fetch)
                    if fetch.future.peek().is_none() && now.since(fetch.began) < FETCH_LIMIT =>
                {
                    fetch.future.clone()
                }
                _ => {
                    let inner = self.inner.clone();
                    let future = async move { inner.fetch().await }.boxed().shared();
                    *flight = Some(Fetch {
                        future: future.clone(),
                        began: now,
                    });
                    future
                }
            }
        };
        fetch.await
    }

    /// The token in memory, if its TTL lasts.
    pub fn cached(&self) -> Option<Token> {
        let now = self.inner.clock.now();
        lock(&self.inner.state).cache.get(now).cloned()
    }

    /// Reports that the home rejected a token. It is dropped from memory, if it is still there, and never handed out again.
    pub fn reject(&self, fingerprint: Fingerprint) {
        lock(&self.inner.state).cache.reject(fingerprint);
    }

    /// Drops the token from memory, which zeroes it once nobody holds it. Rejections stay known.
    pub fn clear(&self) {
        lock(&self.inner.state).cache.clear();
        *lock(&self.flight) = None;
    }

    /// Starts the jitter anew.
    pub fn reseed(&self, seed: u64) {
        lock(&self.inner.state).random = fastrand::Rng::with_seed(seed);
    }

    /// Whether the home has rejected this very token.
    pub fn is_rejected(&self, token: &Token) -> bool {
        lock(&self.inner.state)
            .cache
            .is_rejected(token.fingerprint(), token.version)
    }

    /// How many tokens were fetched from the source so far; two readings tell whether a refresh lay between them.
    pub fn fetches(&self) -> u64 {
        lock(&self.inner.state).fetches
    }
}

impl Inner {
    async fn fetch(&self) -> Result<Token, TokenError> {
        let started = self.clock.now();
        let outcome = self.source.fetch().await;
        let now = self.clock.now();
        self.metrics
            .record(Metric::TokenFetchLatency(now.since(started)));
        let outcome = outcome
            .map_err(TokenError::from)
            .and_then(|stored| self.accept(&stored));
        self.metrics.record(Metric::TokenRefresh(outcome.is_ok()));
        match &outcome {
            Ok(token) => {
                tracing::info!(
                    fingerprint = %token.fingerprint(), version = token.version, stage = "token",
                    "token fetched"
                );
            }
            Err(error) => {
                tracing::warn!(error = %error, category = "token", stage = "token", "no usable token");
            }
        }
        outcome
    }

    /// Checks what was fetched and keeps it. An error is never kept.
    fn accept(&self, stored: &StoredSecret) -> Result<Token, TokenError> {
        let now = self.clock.now();
        let (text, claims) = inspect(stored.value.expose_secret(), self.format)?;
        let token = Token {
            access: Arc::new(AccessToken::new(text.into())),
            version: stored.version,
            expires_at: claims.expires_at,
        };
        let fingerprint = token.fingerprint();
        if token.is_expired(now) {
            return Err(TokenError::Expired { fingerprint });
        }
        if self.format == TokenFormat::Any && !text.contains('.') {
            tracing::warn!(%fingerprint, "the token is not a JWT, so its end cannot be told");
        }
        let mut state = lock(&self.state);
        if state.cache.is_rejected(fingerprint, stored.version) {
            return Err(TokenError::Rejected {
                fingerprint,
                version: stored.version,
            });
        }
        let ttl = with_jitter(self.ttl, state.random.f64());
        state.cache.put(token.clone(), now, ttl);
        state.fetches += 1;
        Ok(token)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while the lock is held, and no state here can be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
