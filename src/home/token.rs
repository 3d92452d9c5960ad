//! The token service: reads the home's token from its source and caches it. At most one fetch runs at a time.
//!
//! The service does not depend on Home Assistant. A caller that presents a token reports a rejection with
//! [`TokenService::reject`]. From then on the service never returns that token, so no caller can present it twice.

mod cache;
mod error;
mod format;
mod reader;
mod rejections;

use std::sync::Arc;
use std::time::Duration;

pub use cache::{Offer, Token, TokenCache, TokenFacts, Ttl};
pub use error::TokenError;
pub use format::{Claims, Defect, access_token, inspect, token_id};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reader::{Inner, State};
pub use rejections::Rejections;

use crate::base::ambient::Ambient;
use crate::base::clock::Timestamp;
use crate::base::config::TokenFormat;
use crate::base::lock::Lock;
use crate::base::secret::Fingerprint;
use crate::home::source::SecretSource;

/// The longest time of a fetch. An older fetch has lost its callers, or the execution environment was frozen during the
/// fetch.
const FETCH_LIMIT: Duration = Duration::from_secs(6);

/// The longest time that a caller waits for the source if a stale token is available.
const WAIT_WITH_STALE_TOKEN: Duration = Duration::from_secs(1);

/// A fetch in flight, with its start time.
struct Fetch {
    future: Shared<BoxFuture<'static, Result<Token, TokenError>>>,
    began: Timestamp,
}

/// Provides the home's token.
pub struct TokenService {
    inner: Arc<Inner>,
    /// The fetch in flight. All callers that need a token wait for it.
    flight: Lock<Option<Fetch>>,
}

impl TokenService {
    /// Creates a service with an empty cache. The TTLs have random jitter.
    pub fn new(
        source: Box<dyn SecretSource>,
        format: TokenFormat,
        ttl: Duration,
        ambient: Ambient,
    ) -> Self {
        let state = Lock::new(State {
            cache: TokenCache::default(),
            rejections: None,
            clearings: 0,
            fetches: 0,
        });
        Self {
            inner: Arc::new(Inner {
                source,
                format,
                ttl,
                ambient,
                state,
            }),
            flight: Lock::new(None),
        }
    }

    /// Loads the known rejections of `home` from `rejections` and records new rejections there, for the next service of
    /// the same home.
    #[must_use]
    pub fn with_rejections(self, rejections: Arc<Rejections>, home: String) -> Self {
        {
            let mut state = self.inner.state.lock();
            for (fingerprint, version) in rejections.of(&home) {
                state.cache.remember_rejection(fingerprint, version);
            }
            state.rejections = Some((rejections, home));
        }
        self
    }

    /// Returns the token to present, never a rejected token. Within the hard TTL the token comes from memory, later
    /// from the source. If the source fails, the last good token is returned for as long as the home accepts it.
    pub async fn current(&self) -> Result<Token, TokenError> {
        let now = self.inner.ambient.clock.now();
        let stale = match self.inner.state.lock().cache.offer(now) {
            Offer::Served { token, .. } => return Ok(token.clone()),
            Offer::Stale { token, is_due } => Some((token.clone(), is_due)),
            Offer::Nothing => None,
        };
        let Some((stale, is_due)) = stale else {
            return self.fetch().await;
        };
        let error = match self.fetch_shortly(is_due, now).await {
            None => return Ok(self.inner.report_stale(stale, None)),
            Some(Ok(token)) => return Ok(token),
            Some(Err(error)) => error,
        };
        // The stale token may be used only if it is still in memory. A rejection or a deletion removes it.
        let kept = self.inner.state.lock().cache.keeps(stale.fingerprint());
        if kept && !stale.is_expired(self.inner.ambient.clock.now()) {
            Ok(self.inner.report_stale(stale, Some(&error)))
        } else {
            Err(error)
        }
    }

    /// Reads the token again and waits at most [`WAIT_WITH_STALE_TOKEN`]. Returns `None` without waiting if the token
    /// is not due or if other callers have already waited that long.
    async fn fetch_shortly(
        &self,
        is_due: bool,
        now: Timestamp,
    ) -> Option<Result<Token, TokenError>> {
        if !is_due || self.is_slow(now) {
            return None;
        }
        let read = tokio::time::timeout(WAIT_WITH_STALE_TOKEN, self.fetch()).await;
        // The fetch continues in its task and fills the cache when it ends.
        Some(read.unwrap_or_else(|_| Err(self.inner.timed_out())))
    }

    /// Returns true if callers have already waited [`WAIT_WITH_STALE_TOKEN`] for the fetch in flight.
    fn is_slow(&self, now: Timestamp) -> bool {
        let flight = self.flight.lock();
        flight.as_ref().is_some_and(|fetch| {
            let age = now.since(fetch.began);
            fetch.future.peek().is_none() && (WAIT_WITH_STALE_TOKEN..FETCH_LIMIT).contains(&age)
        })
    }

    /// Reads the token again if it is due: past its soft TTL, or [expired](Self::expire). Call this when no caller
    /// waits.
    pub async fn refresh(&self) -> Result<(), TokenError> {
        if self.is_due() {
            self.fetch().await?;
        }
        Ok(())
    }

    /// Returns true if there is a token and it should be read again.
    pub fn is_due(&self) -> bool {
        let now = self.inner.ambient.clock.now();
        matches!(
            self.inner.state.lock().cache.offer(now),
            Offer::Served { is_due: true, .. } | Offer::Stale { is_due: true, .. }
        )
    }

    /// Returns true if the TTL is 0, so that the service caches no token.
    pub fn keeps_nothing(&self) -> bool {
        self.inner.ttl.is_zero()
    }

    /// Reads a token that is past its hard TTL again, without a long wait. Returns the stored token. Returns `None` if
    /// no read is due or if the read fails.
    pub async fn renew_stale(&self) -> Option<Fingerprint> {
        let now = self.inner.ambient.clock.now();
        let is_due = matches!(
            self.inner.state.lock().cache.offer(now),
            Offer::Stale { is_due: true, .. }
        );
        let read = self.fetch_shortly(is_due, now).await?;
        read.ok().map(|token| token.fingerprint())
    }

    /// Marks the token as changed, so that it is due at once.
    pub fn expire(&self) {
        let now = self.inner.ambient.clock.now();
        self.inner.state.lock().cache.expire(now);
        // The fetch in flight may have started before the change.
        *self.flight.lock() = None;
    }

    /// Joins the fetch in flight or starts a fetch.
    async fn fetch(&self) -> Result<Token, TokenError> {
        let fetch = {
            let mut flight = self.flight.lock();
            let now = self.inner.ambient.clock.now();
            // Another caller may have filled the cache while this caller waited for the lock.
            if let Offer::Served {
                token,
                is_due: false,
            } = self.inner.state.lock().cache.offer(now)
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
                    let (inner, stopped) = (self.inner.clone(), self.inner.clone());
                    // The fetch runs in a task, so it fills the cache even if all callers leave.
                    let task = tokio::spawn(async move { inner.fetch().await });
                    let future =
                        async move { task.await.unwrap_or_else(|_| Err(stopped.timed_out())) };
                    let future = future.boxed().shared();
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

    /// Returns the public facts of the last token that was read, even after the token was dropped.
    pub fn facts(&self) -> Option<TokenFacts> {
        self.inner.state.lock().cache.last()
    }

    /// Returns the fingerprint of the token that the cache would return without a fetch.
    pub fn cached(&self) -> Option<Fingerprint> {
        let now = self.inner.ambient.clock.now();
        match self.inner.state.lock().cache.offer(now) {
            Offer::Served { token, .. } | Offer::Stale { token, .. } => Some(token.fingerprint()),
            Offer::Nothing => None,
        }
    }

    /// Reports that the home rejected a token. The token is dropped from memory and never returned again.
    pub fn reject(&self, fingerprint: Fingerprint) {
        let mut state = self.inner.state.lock();
        state.cache.reject(fingerprint);
        let version = state.cache.version_of(fingerprint);
        if let Some((rejections, home)) = &state.rejections {
            rejections.note(home, fingerprint, version);
        }
    }

    /// Returns the version of the parameter that last held this token, if this service has read it.
    pub fn version_of(&self, fingerprint: Fingerprint) -> Option<i64> {
        self.inner.state.lock().cache.version_of(fingerprint)
    }

    /// Returns true if the home has rejected the last token that was read.
    pub fn has_rejected_the_last(&self) -> bool {
        let state = self.inner.state.lock();
        let last = state.cache.last();
        last.is_some_and(|last| state.cache.is_rejected(last.fingerprint, last.version))
    }

    /// Drops the token from memory. The token is zeroed when its last user releases it. Rejections stay known.
    pub fn clear(&self) {
        {
            let mut state = self.inner.state.lock();
            state.cache.clear();
            state.clearings += 1;
        }
        *self.flight.lock() = None;
    }

    /// Returns true if the home has rejected this token.
    pub fn is_rejected(&self, token: &Token) -> bool {
        self.inner
            .state
            .lock()
            .cache
            .is_rejected(token.fingerprint(), token.version)
    }

    /// Returns true if the home has rejected this token in the version that was last read.
    pub fn has_rejected(&self, fingerprint: Fingerprint) -> bool {
        let state = self.inner.state.lock();
        let version = state.cache.version_of(fingerprint);
        state.cache.is_rejected(fingerprint, version)
    }

    /// Returns the number of tokens that were fetched from the source. Two readings show whether a fetch took place
    /// between them.
    pub fn fetches(&self) -> u64 {
        self.inner.state.lock().fetches
    }
}

#[cfg(test)]
mod tests;
