//! The token service: the home's token from its source, through a cache, one fetch at a time.
//!
//! It knows nothing of Home Assistant. Whoever presents a token reports a rejection with [`TokenService::reject`]; from
//! then on this service never hands that token out again, so no caller can present it twice.

mod cache;
mod format;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use cache::{Offer, Token, TokenCache, TokenFacts, Ttl};
pub use format::{Claims, Defect, inspect, token_id};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use secrecy::ExposeSecret as _;

use crate::clock::{Clock, Timestamp};
use crate::config::TokenFormat;
use crate::metrics::{Meter, Metric};
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

/// How long a caller waits for the source when there is a stale token to go on with.
const WAIT_WITH_A_STALE_ONE: Duration = Duration::from_secs(1);

/// With less than this left of a token, whoever reads the log is told.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

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
    meter: Meter,
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
        meter: Meter,
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
                meter,
                state,
            }),
            flight: Mutex::new(None),
        }
    }

    /// The token to present now, and never one that was rejected: from memory while its hard TTL lasts, from the source
    /// otherwise. If the source fails then, it is the last good one, for as long as the home accepts that.
    pub async fn current(&self) -> Result<Token, TokenError> {
        let now = self.inner.clock.now();
        let stale = match lock(&self.inner.state).cache.offer(now) {
            Offer::Served { token, .. } => return Ok(token.clone()),
            Offer::Stale { token, is_due } => Some((token.clone(), is_due)),
            Offer::Nothing => None,
        };
        let Some((stale, is_due)) = stale else {
            return self.fetch().await;
        };
        if !is_due {
            return Ok(self.inner.served_stale(stale, None));
        }
        match tokio::time::timeout(WAIT_WITH_A_STALE_ONE, self.fetch()).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => {
                // What the failure left in memory may still be used; a rejection or a deletion leaves nothing.
                let kept = lock(&self.inner.state).cache.keeps(stale.fingerprint());
                if kept && !stale.is_expired(now) {
                    Ok(self.inner.served_stale(stale, Some(&error)))
                } else {
                    Err(error)
                }
            }
            Err(_) => {
                lock(&self.inner.state).cache.postpone(now);
                let error = SourceError::TimedOut.into();
                Ok(self.inner.served_stale(stale, Some(&error)))
            }
        }
    }

    /// Reads the token again if it is due: past its soft TTL, or [expired](Self::expire). For when nobody waits.
    pub async fn refresh(&self) -> Result<(), TokenError> {
        if self.is_due() {
            self.fetch().await?;
        }
        Ok(())
    }

    /// Whether there is a token that should be read again.
    pub fn is_due(&self) -> bool {
        let now = self.inner.clock.now();
        matches!(
            lock(&self.inner.state).cache.offer(now),
            Offer::Served { is_due: true, .. } | Offer::Stale { is_due: true, .. }
        )
    }

    /// Whether the TTL is 0, so that nothing is kept.
    pub fn keeps_nothing(&self) -> bool {
        self.inner.ttl.is_zero()
    }

    /// Whether the token in memory is past its hard TTL.
    pub fn is_stale(&self) -> bool {
        let now = self.inner.clock.now();
        let state = lock(&self.inner.state);
        matches!(state.cache.offer(now), Offer::Stale { .. })
    }

    /// Makes the token due: it is known to have changed.
    pub fn expire(&self) {
        lock(&self.inner.state).cache.expire();
        // A read under way may have begun before the change.
        *lock(&self.flight) = None;
    }

    /// Joins the read under way, or begins one.
    async fn fetch(&self) -> Result<Token, TokenError> {
        let fetch = {
            let mut flight = lock(&self.flight);
            let now = self.inner.clock.now();
            // The one who held the flight before may have landed it while we waited for the lock.
            if let Offer::Served {
                token,
                is_due: false,
            } = lock(&self.inner.state).cache.offer(now)
            {
                return Ok(token.clone());
            }
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

    /// What may be shown of the token last read, also after it was dropped.
    pub fn facts(&self) -> Option<TokenFacts> {
        lock(&self.inner.state).cache.last()
    }

    /// Which token would be handed out without asking the source.
    pub fn cached(&self) -> Option<Fingerprint> {
        let now = self.inner.clock.now();
        match lock(&self.inner.state).cache.offer(now) {
            Offer::Served { token, .. } | Offer::Stale { token, .. } => Some(token.fingerprint()),
            Offer::Nothing => None,
        }
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

impl State {
    /// Whether another read has ended well since `started`.
    fn is_overtaken(&self, started: Timestamp) -> bool {
        let last = self.cache.last();
        last.is_some_and(|last| last.read_at.monotonic > started.monotonic)
    }
}

impl Inner {
    async fn fetch(&self) -> Result<Token, TokenError> {
        let started = self.clock.now();
        let outcome = self.source.fetch().await;
        let now = self.clock.now();
        self.meter
            .record(Metric::TokenFetchLatency(now.since(started)));
        let outcome = outcome
            .map_err(TokenError::from)
            .and_then(|stored| self.accept(&stored, started));
        self.meter.record(Metric::TokenRefresh(outcome.is_ok()));
        match &outcome {
            Ok(token) => {
                tracing::info!(
                    fingerprint = %token.fingerprint(), version = token.version, stage = "token",
                    "token fetched"
                );
                self.report_end(token, now);
            }
            Err(error) => {
                let mut state = lock(&self.state);
                match error {
                    _ if state.is_overtaken(started) => {}
                    // Whoever deleted it meant it.
                    TokenError::Source(SourceError::NotFound { .. }) => state.cache.clear(),
                    TokenError::Source(_)
                    | TokenError::Malformed(_)
                    | TokenError::Expired { .. }
                    | TokenError::Rejected { .. } => state.cache.postpone(now),
                }
                tracing::warn!(error = %error, category = "token", stage = "token", "no usable token");
            }
        }
        outcome
    }

    /// Tells when a token ends, by its own word.
    fn report_end(&self, token: &Token, now: Timestamp) {
        let Some(end) = token.expires_at else { return };
        let left = end.saturating_sub(now.unix);
        self.meter.record(Metric::TokenDaysToExpiry(days(left)));
        if left < EXPIRES_SOON {
            tracing::warn!(
                fingerprint = %token.fingerprint(), hours_left = left.as_secs() / 3_600, category = "token",
                "the token ends soon; store another one"
            );
        }
    }

    /// Says that the last good token is used for want of a newer reading.
    fn served_stale(&self, token: Token, error: Option<&TokenError>) -> Token {
        self.meter.record(Metric::TokenStale);
        let error = error.map(ToString::to_string);
        tracing::warn!(
            fingerprint = %token.fingerprint(), version = token.version, error, category = "token", stage = "token",
            "the last good token is used: it could not be read again"
        );
        token
    }

    /// Checks what was fetched and keeps it. An error is never kept.
    fn accept(&self, stored: &StoredSecret, started: Timestamp) -> Result<Token, TokenError> {
        let now = self.clock.now();
        let (text, claims) = inspect(stored.value.expose_secret(), self.format)?;
        let token = Token {
            access: Arc::new(AccessToken::new(text.into())),
            version: stored.version,
            expires_at: claims.expires_at,
        };
        let fingerprint = token.fingerprint();
        if token.is_expired(now) {
            self.meter.record(Metric::TokenDaysToExpiry(0.0));
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
        let ttl = Ttl::new(self.ttl, state.random.f64());
        // A slow read does not undo a quicker one that began after it.
        if !state.is_overtaken(started) {
            state.cache.put(token.clone(), now, ttl);
        }
        state.fetches += 1;
        Ok(token)
    }
}

/// A time in days, as reports give it.
pub fn days(duration: Duration) -> f64 {
    duration.as_secs_f64() / 86_400.0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while the lock is held, and no state here can be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
