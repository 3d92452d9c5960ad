//! The token in memory: a pure structure, with the time passed in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::secret::{AccessToken, Fingerprint};

/// A token that passed the offline checks, with what is known of it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub access: Arc<AccessToken>,
    /// The version of the parameter it came from.
    pub version: Option<i64>,
    /// When it ends by its own word, since the Unix epoch.
    pub expires_at: Option<Duration>,
}

impl Token {
    /// What may be shown of the token.
    pub fn fingerprint(&self) -> Fingerprint {
        self.access.fingerprint()
    }

    /// Whether it has ended by its own word.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now.unix)
    }
}

/// How many tokens are remembered, and how many that were rejected. A home has one token at a time; more than a few
/// come by or are rejected in the life of one sandbox hardly ever.
const REMEMBERED: usize = 16;

/// How long the source is left alone after it failed, while a token is there to be served in its stead.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long a token is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// From then on it is still served, and read again when nobody waits for it.
    pub soft: Duration,
    /// From then on it is served only if it cannot be read again.
    pub hard: Duration,
}

impl Ttl {
    /// The soft TTL is `configured` less up to a tenth, so that sandboxes started together do not read the parameter
    /// together; the hard TTL is twice `configured`. A keep-warm event every `configured` then always finds the token
    /// due, and no caller ever finds it past its hard TTL. `random` is uniform in 0..1.
    pub fn new(configured: Duration, random: f64) -> Self {
        Self {
            soft: configured.mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0)),
            hard: configured * 2,
        }
    }
}

/// What may be shown of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Which token.
    pub fingerprint: Fingerprint,
    /// The version of the parameter it came from.
    pub version: Option<i64>,
    /// When it ends by its own word, since the Unix epoch.
    pub expires_at: Option<Duration>,
    /// When it was read.
    pub read_at: Timestamp,
}

/// What the cache has to offer.
#[derive(Debug)]
pub enum Offer<'a> {
    /// A token; `is_due` when it should be read again once nobody waits.
    Served {
        /// The token.
        token: &'a Token,
        /// Whether its soft TTL has passed.
        is_due: bool,
    },
    /// A token past its hard TTL; `is_due` unless the source was asked in vain just now.
    Stale {
        /// The token.
        token: &'a Token,
        /// Whether the source is to be asked first.
        is_due: bool,
    },
    /// No token.
    Nothing,
}

/// At most one token and the times until which it is served, and the fingerprints that the home has rejected.
#[derive(Debug, Default)]
pub struct TokenCache {
    entry: Option<Entry>,
    /// The tokens kept so far, also after they were dropped; the last one is at the end.
    seen: VecDeque<TokenFacts>,
    /// Since when the token is known to have changed.
    expired_at: Option<Timestamp>,
    rejected: VecDeque<Identity>,
}

/// A token and the version of the parameter that held it.
type Identity = (Fingerprint, Option<i64>);

#[derive(Debug)]
struct Entry {
    token: Token,
    read_at: Timestamp,
    hard: Duration,
    /// When the source was last asked, and for how long it is then left alone.
    asked_at: Timestamp,
    ask_again_after: Duration,
}

impl TokenCache {
    /// The token, unless it has ended by its own word, and how good it is.
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

    /// Keeps `token`, which was asked for at `read_at`, in place of the one before. A TTL of 0 keeps nothing, not even
    /// for want of better.
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
        // A read that began before the change says nothing of it.
        let is_old_news = self
            .expired_at
            .is_some_and(|at| read_at.monotonic < at.monotonic);
        self.entry = (!ttl.hard.is_zero()).then_some(Entry {
            token,
            read_at,
            hard: ttl.hard,
            asked_at: read_at,
            ask_again_after: if is_old_news {
                Duration::ZERO
            } else {
                ttl.soft
            },
        });
    }

    /// Notes that the source was asked in vain: what is here is served without asking, for a while.
    pub fn postpone(&mut self, now: Timestamp) {
        if let Some(entry) = &mut self.entry {
            entry.asked_at = now;
            entry.ask_again_after = RETRY_AFTER;
        }
    }

    /// Makes the token due at once: it is known to have changed by `now`.
    pub fn expire(&mut self, now: Timestamp) {
        self.expired_at = Some(now);
        if let Some(entry) = &mut self.entry {
            entry.ask_again_after = Duration::ZERO;
        }
    }

    /// Drops the token; rejections stay known.
    pub fn clear(&mut self) {
        self.entry = None;
    }

    /// Whether this very token is here.
    pub fn keeps(&self, fingerprint: Fingerprint) -> bool {
        self.entry
            .as_ref()
            .is_some_and(|entry| entry.token.fingerprint() == fingerprint)
    }

    /// What may be shown of the token that was last kept.
    pub fn last(&self) -> Option<TokenFacts> {
        self.seen.back().copied()
    }

    /// The version that last held this token, if it was kept here.
    pub fn version_of(&self, fingerprint: Fingerprint) -> Option<i64> {
        let mut seen = self.seen.iter().rev();
        seen.find(|seen| seen.fingerprint == fingerprint)?.version
    }

    /// Remembers that the home rejected this token, and drops it if it is the one in here; a newer one stays.
    pub fn reject(&mut self, fingerprint: Fingerprint) {
        let version = self.version_of(fingerprint);
        self.remember_rejection(fingerprint, version);
        if self.keeps(fingerprint) {
            self.entry = None;
        }
    }

    /// Remembers that the home has rejected a token, here or elsewhere.
    pub fn remember_rejection(&mut self, fingerprint: Fingerprint, version: Option<i64>) {
        if !self.is_rejected(fingerprint, version) {
            if self.rejected.len() == REMEMBERED {
                self.rejected.pop_front();
            }
            self.rejected.push_back((fingerprint, version));
        }
    }

    /// Whether the home has rejected this token. One that was stored anew has another version, and whoever stored it
    /// means it: it may be tried once more.
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

    /// What is offered, in a word.
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
    fn a_token_is_fresh_then_due_then_stale() {
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
            "it was read before the change"
        );
        cache.put(token("a"), at(601), TTL);
        assert_eq!(offered(&cache, at(602)), "fresh");
    }

    #[test]
    fn a_source_that_failed_is_left_alone_for_a_while() {
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
    fn a_ttl_of_nothing_keeps_nothing() {
        let mut cache = TokenCache::default();
        cache.put(token("a"), at(0), Ttl::new(Duration::ZERO, 0.5));
        assert_eq!(offered(&cache, at(0)), "nothing");
        assert_eq!(cache.last().unwrap().version, Some(1));
    }

    #[test]
    fn a_frozen_sandbox_finds_its_token_too_old() {
        let mut cache = TokenCache::default();
        cache.put(token("a"), at(0), TTL);
        let restored = Timestamp {
            monotonic: at(1).monotonic,
            unix: at(600).unix,
        };
        assert_eq!(offered(&cache, restored), "stale");
    }

    #[test]
    fn a_token_is_not_served_past_its_own_end() {
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
    fn a_rejection_drops_that_very_token_and_is_remembered() {
        let mut cache = TokenCache::default();
        let (old, new) = (token("old"), token("new"));
        cache.put(new.clone(), at(0), TTL);
        cache.reject(old.fingerprint());
        assert_eq!(offered(&cache, at(1)), "fresh", "a newer token stays");
        cache.reject(new.fingerprint());
        assert_eq!(offered(&cache, at(1)), "nothing");
        let is_rejected = |token: &Token, version| cache.is_rejected(token.fingerprint(), version);
        assert!(is_rejected(&new, Some(1)) && is_rejected(&new, None));
        assert!(!is_rejected(&new, Some(2)), "it was stored anew");
        assert!(is_rejected(&old, Some(2)), "its version was never known");
        assert!(!is_rejected(&token("third"), Some(1)));
    }

    #[test]
    fn the_memory_of_rejections_is_bounded() {
        let mut cache = TokenCache::default();
        for number in 0..100 {
            cache.reject(token(&number.to_string()).fingerprint());
        }
        assert_eq!(cache.rejected.len(), REMEMBERED);
        assert!(cache.is_rejected(token("99").fingerprint(), None));
    }

    #[test]
    fn soft_then_keep_warm_then_hard() {
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
