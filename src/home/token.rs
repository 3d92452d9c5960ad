//! The token service: the home's token from its source, through a cache, one fetch at a time.
//!
//! It knows nothing of Home Assistant. Whoever presents a token reports a rejection with [`TokenService::reject`]; from
//! then on this service never hands that token out again, so no caller can present it twice.

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

/// A fetch that has not ended after this long has lost its callers, or the sandbox was frozen in the midst of it.
const FETCH_LIMIT: Duration = Duration::from_secs(6);

/// How long a caller waits for the source when there is a stale token to go on with.
const WAIT_WITH_A_STALE_ONE: Duration = Duration::from_secs(1);

/// A fetch under way, and when it began.
struct Fetch {
    future: Shared<BoxFuture<'static, Result<Token, TokenError>>>,
    began: Timestamp,
}

/// Hands out the home's token.
pub struct TokenService {
    inner: Arc<Inner>,
    /// The fetch under way, joined by everyone who needs a token meanwhile.
    flight: Lock<Option<Fetch>>,
}

impl TokenService {
    /// A service with an empty cache. Its TTLs have random jitter.
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

    /// Keeps rejections in `rejections` as well, for the next service of the home `home`, and knows those that are
    /// there.
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

    /// The token to present now, and never one that was rejected: from memory while its hard TTL lasts, from the source
    /// otherwise. If the source fails then, it is the last good one, for as long as the home accepts that.
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
            None => return Ok(self.inner.served_stale(stale, None)),
            Some(Ok(token)) => return Ok(token),
            Some(Err(error)) => error,
        };
        // What is still in memory may be used; a rejection or a deletion leaves nothing.
        let kept = self.inner.state.lock().cache.keeps(stale.fingerprint());
        if kept && !stale.is_expired(self.inner.ambient.clock.now()) {
            Ok(self.inner.served_stale(stale, Some(&error)))
        } else {
            Err(error)
        }
    }

    /// Reads the token again, for no longer than anybody waits who has a stale one. Nothing if it is not due, or if
    /// others have waited that long already.
    async fn fetch_shortly(
        &self,
        is_due: bool,
        now: Timestamp,
    ) -> Option<Result<Token, TokenError>> {
        if !is_due || self.is_slow(now) {
            return None;
        }
        let read = tokio::time::timeout(WAIT_WITH_A_STALE_ONE, self.fetch()).await;
        // The read goes on, and lands when it does.
        Some(read.unwrap_or_else(|_| Err(self.inner.timed_out())))
    }

    /// Whether others have waited for the read under way as long as anybody should.
    fn is_slow(&self, now: Timestamp) -> bool {
        let flight = self.flight.lock();
        flight.as_ref().is_some_and(|fetch| {
            let age = now.since(fetch.began);
            fetch.future.peek().is_none() && (WAIT_WITH_A_STALE_ONE..FETCH_LIMIT).contains(&age)
        })
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
        let now = self.inner.ambient.clock.now();
        matches!(
            self.inner.state.lock().cache.offer(now),
            Offer::Served { is_due: true, .. } | Offer::Stale { is_due: true, .. }
        )
    }

    /// Whether the TTL is 0, so that nothing is kept.
    pub fn keeps_nothing(&self) -> bool {
        self.inner.ttl.is_zero()
    }

    /// Reads a token again that is past its hard TTL, without waiting for long, and tells which one is stored now;
    /// nothing if it need not be read, or cannot.
    pub async fn renew_stale(&self) -> Option<Fingerprint> {
        let now = self.inner.ambient.clock.now();
        let is_due = matches!(
            self.inner.state.lock().cache.offer(now),
            Offer::Stale { is_due: true, .. }
        );
        let read = self.fetch_shortly(is_due, now).await?;
        read.ok().map(|token| token.fingerprint())
    }

    /// Makes the token due: it is known to have changed.
    pub fn expire(&self) {
        let now = self.inner.ambient.clock.now();
        self.inner.state.lock().cache.expire(now);
        // A read under way may have begun before the change.
        *self.flight.lock() = None;
    }

    /// Joins the read under way, or begins one.
    async fn fetch(&self) -> Result<Token, TokenError> {
        let fetch = {
            let mut flight = self.flight.lock();
            let now = self.inner.ambient.clock.now();
            // The one who held the flight before may have landed it while we waited for the lock.
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
                    // A task: a read that nobody waits for any more lands all the same.
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

    /// What may be shown of the token last read, also after it was dropped.
    pub fn facts(&self) -> Option<TokenFacts> {
        self.inner.state.lock().cache.last()
    }

    /// Which token would be handed out without asking the source.
    pub fn cached(&self) -> Option<Fingerprint> {
        let now = self.inner.ambient.clock.now();
        match self.inner.state.lock().cache.offer(now) {
            Offer::Served { token, .. } | Offer::Stale { token, .. } => Some(token.fingerprint()),
            Offer::Nothing => None,
        }
    }

    /// Reports that the home rejected a token. It is dropped from memory, if it is still there, and never handed out
    /// again.
    pub fn reject(&self, fingerprint: Fingerprint) {
        let mut state = self.inner.state.lock();
        state.cache.reject(fingerprint);
        let version = state.cache.version_of(fingerprint);
        if let Some((rejections, home)) = &state.rejections {
            rejections.note(home, fingerprint, version);
        }
    }

    /// The version of the parameter that last held a token, if it was read here.
    pub fn version_of(&self, fingerprint: Fingerprint) -> Option<i64> {
        self.inner.state.lock().cache.version_of(fingerprint)
    }

    /// Whether the home has rejected the token that was last read.
    pub fn has_rejected_the_last(&self) -> bool {
        let state = self.inner.state.lock();
        let last = state.cache.last();
        last.is_some_and(|last| state.cache.is_rejected(last.fingerprint, last.version))
    }

    /// Drops the token from memory, which zeroes it once nobody holds it. Rejections stay known.
    pub fn clear(&self) {
        {
            let mut state = self.inner.state.lock();
            state.cache.clear();
            state.clearings += 1;
        }
        *self.flight.lock() = None;
    }

    /// Whether the home has rejected this very token.
    pub fn is_rejected(&self, token: &Token) -> bool {
        self.inner
            .state
            .lock()
            .cache
            .is_rejected(token.fingerprint(), token.version)
    }

    /// How many tokens were fetched from the source so far; two readings tell whether a refresh lay between them.
    pub fn fetches(&self) -> u64 {
        self.inner.state.lock().fetches
    }
}

#[cfg(test)]
mod tests;
