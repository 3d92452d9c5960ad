//! The token cache: a pure data structure. Callers pass the time in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::secret::{AccessToken, Fingerprint};

/// A token that passed the offline checks, with its version and expiry.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub access: Arc<AccessToken>,
    /// The version of the parameter that held the token.
    pub version: Option<i64>,
    /// The expiry time that the token itself states, since the Unix epoch.
    pub expires_at: Option<Duration>,
}

impl Token {
    /// Returns the token's fingerprint, which may be shown.
    pub fn fingerprint(&self) -> Fingerprint {
        self.access.fingerprint()
    }

    /// Returns true if the token has expired according to its own expiry time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now.unix)
    }
}

/// The number of tokens and of rejections that are remembered. A home has one token at a time, so more than a few
/// tokens are rare in the life of one execution environment.
const REMEMBERED: usize = 16;

/// The time without a new fetch after the source failed, while a cached token can be served.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The soft and hard TTL of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// The age from which the token is still served, and read again when no caller waits.
    pub soft: Duration,
    /// The age from which the token is served only if the source fails.
    pub hard: Duration,
}

impl Ttl {
    /// Computes the TTLs from the configured TTL. `random` is uniform in 0..1.
    ///
    /// The soft TTL is `configured` minus up to a tenth, so that execution environments that start together do not read
    /// the parameter together. The hard TTL is twice `configured`. A keep-warm event every `configured` then always
    /// finds the token due, and no caller finds it past its hard TTL.
    pub fn new(configured: Duration, random: f64) -> Self {
        Self {
            soft: configured.mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0)),
            hard: configured * 2,
        }
    }
}

/// The facts about a token that may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// The token's fingerprint.
    pub fingerprint: Fingerprint,
    /// The version of the parameter that held the token.
    pub version: Option<i64>,
    /// The expiry time that the token itself states, since the Unix epoch.
    pub expires_at: Option<Duration>,
    /// The time of the read.
    pub read_at: Timestamp,
}

/// The result of a cache lookup.
#[derive(Debug)]
pub enum Offer<'a> {
    /// A token within its hard TTL.
    Served {
        /// The token.
        token: &'a Token,
        /// True if the token should be read again when no caller waits.
        is_due: bool,
    },
    /// A token past its hard TTL.
    Stale {
        /// The token.
        token: &'a Token,
        /// True if the source should be tried first; false shortly after the source failed.
        is_due: bool,
    },
    /// The cache has no token.
    Nothing,
}

/// A cache of at most one token, with its TTLs and the rejected fingerprints.
#[derive(Debug, Default)]
pub struct TokenCache {
    entry: Option<Entry>,
    /// The facts of the tokens so far, including dropped tokens. The latest token is at the end.
    seen: VecDeque<TokenFacts>,
    /// The time at which the stored token was reported as changed.
    expired_at: Option<Timestamp>,
    rejected: VecDeque<Identity>,
}

/// The identity of a token: its fingerprint and the version of the parameter that held it.
type Identity = (Fingerprint, Option<i64>);

#[derive(Debug)]
struct Entry {
    token: Token,
    read_at: Timestamp,
    hard: Duration,
    /// The time of the last fetch, and the delay until the next fetch is due.
    asked_at: Timestamp,
    ask_again_after: Duration,
}

impl TokenCache {
    /// Looks up the token. An expired token is not returned.
    pub fn offer(&self, now: Timestamp) -> Offer<'_> {
        let Some(entry) = self
            .entry
            .as_ref()
            .filter(|entry| !entry.token.is_expired(now))
        else {
            return Offer::Nothing;
        };
        let token = &entry.token;
        let is_due = now.since(entry.asked_at) >= entry.ask_again_after;
        if now.since(entry.read_at) < entry.hard {
            Offer::Served { token, is_due }
        } else {
            Offer::Stale { token, is_due }
        }
    }

    /// Stores `token`, whose fetch started at `read_at`, in place of the previous token. With a TTL of 0 the cache
    /// stores no token, not even as a fallback.
    pub fn put(&mut self, token: Token, read_at: Timestamp, ttl: Ttl) {
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(TokenFacts {
            fingerprint: token.fingerprint(),
            version: token.version,
            expires_at: token.expires_at,
            read_at,
        });
        // A fetch that started before the reported change does not show the change.
        let is_outdated = self
            .expired_at
            .is_some_and(|at| read_at.monotonic < at.monotonic);
        self.entry = (!ttl.hard.is_zero()).then_some(Entry {
            token,
            read_at,
            hard: ttl.hard,
            asked_at: read_at,
            ask_again_after: if is_outdated {
                Duration::ZERO
            } else {
                ttl.soft
            },
        });
    }

    /// Records a failed fetch. The cached token is served without a new fetch for `RETRY_AFTER`.
    pub fn postpone(&mut self, now: Timestamp) {
        if let Some(entry) = &mut self.entry {
            entry.asked_at = now;
            entry.ask_again_after = RETRY_AFTER;
        }
    }

    /// Makes the token due at once, because the stored token has changed by `now`.
    pub fn expire(&mut self, now: Timestamp) {
        self.expired_at = Some(now);
        if let Some(entry) = &mut self.entry {
            entry.ask_again_after = Duration::ZERO;
        }
    }

    /// Drops the token. Rejections stay known.
    pub fn clear(&mut self) {
        self.entry = None;
    }

    /// Returns true if the cache holds this token.
    pub fn keeps(&self, fingerprint: Fingerprint) -> bool {
        self.entry
            .as_ref()
            .is_some_and(|entry| entry.token.fingerprint() == fingerprint)
    }

    /// Returns the facts of the last token that was stored in this cache.
    pub fn last(&self) -> Option<TokenFacts> {
        self.seen.back().copied()
    }

    /// Returns the version that last held this token, if the token was stored in this cache.
    pub fn version_of(&self, fingerprint: Fingerprint) -> Option<i64> {
        let mut seen = self.seen.iter().rev();
        seen.find(|seen| seen.fingerprint == fingerprint)?.version
    }

    /// Records that the home rejected this token, and drops it from the cache. A newer token stays cached.
    pub fn reject(&mut self, fingerprint: Fingerprint) {
        let version = self.version_of(fingerprint);
        self.remember_rejection(fingerprint, version);
        if self.keeps(fingerprint) {
            self.entry = None;
        }
    }

    /// Records that the home has rejected a token, in this or another execution environment.
    pub fn remember_rejection(&mut self, fingerprint: Fingerprint, version: Option<i64>) {
        if !self.is_rejected(fingerprint, version) {
            if self.rejected.len() == REMEMBERED {
                self.rejected.pop_front();
            }
            self.rejected.push_back((fingerprint, version));
        }
    }

    /// Returns true if the home has rejected this token. A token that is stored again gets a new version, and it may
    /// then be presented once more: its operator stored it on purpose.
    pub fn is_rejected(&self, fingerprint: Fingerprint, version: Option<i64>) -> bool {
        self.rejected.iter().any(|(rejected, at)| {
            *rejected == fingerprint && (at.is_none() || version.is_none() || *at == version)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp {
            monotonic: SECOND * u32::try_from(seconds).unwrap(),
            unix: Duration::from_secs(1_000 + seconds),
        }
    }

    fn token(text: &str) -> Token {
        Token {
            access: Arc::new(AccessToken::new(text.into())),
            version: Some(1),
            expires_at: None,
        }
    }

    const TTL: Ttl = Ttl {
        soft: Duration::from_secs(270),
        hard: Duration::from_secs(600),
    };

    /// Describes the lookup result in a word.
    fn offered(cache: &TokenCache, now: Timestamp) -> &'static str {
        match cache.offer(now) {
            Offer::Served { is_due: false, .. } => "fresh",
            Offer::Served { is_due: true, .. } => "due",
            Offer::Stale { is_due: true, .. } => "stale",
            Offer::Stale { is_due: false, .. } => "stale, asked",
            Offer::Nothing => "nothing",
        }
    }

    #[test]
    fn token_is_fresh_then_due_then_stale() {
        let mut cache = TokenCache::default();
        assert_eq!(offered(&cache, at(0)), "nothing");
        cache.put(token("a"), at(0), TTL);
        assert_eq!(offered(&cache, at(269)), "fresh");
        assert_eq!(offered(&cache, at(270)), "due");
        assert_eq!(offered(&cache, at(599)), "due");
        assert_eq!(offered(&cache, at(600)), "stale");
        cache.put(token("a"), at(600), TTL);
        assert_eq!(offered(&cache, at(601)), "fresh");
        cache.expire(at(601));
        assert_eq!(offered(&cache, at(601)), "due");
        cache.put(token("a"), at(600), TTL);
        assert_eq!(
            offered(&cache, at(602)),
            "due",
            "the token was read before the change"
        );
        cache.put(token("a"), at(601), TTL);
        assert_eq!(offered(&cache, at(602)), "fresh");
    }

    #[test]
    fn failed_fetch_delays_the_next_fetch() {
        let mut cache = TokenCache::default();
        cache.postpone(at(0));
        assert_eq!(offered(&cache, at(0)), "nothing");
        cache.put(token("a"), at(0), TTL);
        cache.postpone(at(300));
        assert_eq!(offered(&cache, at(329)), "fresh");
        assert_eq!(offered(&cache, at(330)), "due");
        cache.postpone(at(700));
        assert_eq!(offered(&cache, at(729)), "stale, asked");
        assert_eq!(offered(&cache, at(730)), "stale");
    }

    #[test]
    fn ttl_of_zero_caches_no_token() {
        let mut cache = TokenCache::default();
        cache.put(token("a"), at(0), Ttl::new(Duration::ZERO, 0.5));
        assert_eq!(offered(&cache, at(0)), "nothing");
        assert_eq!(cache.last().unwrap().version, Some(1));
    }

    #[test]
    fn token_is_stale_after_a_freeze() {
        let mut cache = TokenCache::default();
        cache.put(token("a"), at(0), TTL);
        let restored = Timestamp {
            monotonic: at(1).monotonic,
            unix: at(600).unix,
        };
        assert_eq!(offered(&cache, restored), "stale");
    }

    #[test]
    fn expired_token_is_not_served() {
        let mut cache = TokenCache::default();
        let expiring = Token {
            expires_at: Some(Duration::from_secs(1_010)),
            ..token("a")
        };
        cache.put(expiring, at(0), TTL);
        assert_eq!(offered(&cache, at(9)), "fresh");
        assert_eq!(offered(&cache, at(10)), "nothing");
    }

    #[test]
    fn rejection_drops_the_token_and_is_remembered() {
        let mut cache = TokenCache::default();
        let (old, new) = (token("old"), token("new"));
        cache.put(new.clone(), at(0), TTL);
        cache.reject(old.fingerprint());
        assert_eq!(offered(&cache, at(1)), "fresh", "a newer token stays");
        cache.reject(new.fingerprint());
        assert_eq!(offered(&cache, at(1)), "nothing");
        let is_rejected = |token: &Token, version| cache.is_rejected(token.fingerprint(), version);
        assert!(is_rejected(&new, Some(1)) && is_rejected(&new, None));
        assert!(
            !is_rejected(&new, Some(2)),
            "the token was stored again as a new version"
        );
        assert!(
            is_rejected(&old, Some(2)),
            "the version of the old token was unknown"
        );
        assert!(!is_rejected(&token("third"), Some(1)));
    }

    #[test]
    fn remembered_rejections_are_bounded() {
        let mut cache = TokenCache::default();
        for number in 0..100 {
            cache.reject(token(&number.to_string()).fingerprint());
        }
        assert_eq!(cache.rejected.len(), REMEMBERED);
        assert!(cache.is_rejected(token("99").fingerprint(), None));
    }

    #[test]
    fn keep_warm_period_is_between_soft_and_hard_ttl() {
        let period = SECOND * 300;
        for random in [0.0, 0.5, 1.0] {
            let ttl = Ttl::new(period, random);
            assert!(period.mul_f64(0.9) <= ttl.soft && ttl.soft <= period);
            assert!(period < ttl.hard);
        }
        assert_eq!(
            Ttl::new(Duration::ZERO, 0.5),
            Ttl {
                soft: Duration::ZERO,
                hard: Duration::ZERO
            }
        );
    }
}
