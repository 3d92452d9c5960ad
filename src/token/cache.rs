//! The token in memory: a pure structure, with the time passed in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::{AccessToken, Fingerprint};

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

/// How many rejected tokens are remembered. A home has one token at a time; more than a few were never rejected in the
/// life of one sandbox.
const REMEMBERED_REJECTIONS: usize = 16;

/// At most one token and the time until which it is served, and the fingerprints that the home has rejected.
#[derive(Debug, Default)]
pub struct TokenCache {
    entry: Option<Entry>,
    /// The token last kept, also after it was dropped, with its version.
    last: Option<Identity>,
    rejected: VecDeque<Identity>,
}

/// A token and the version of the parameter that held it.
type Identity = (Fingerprint, Option<i64>);

#[derive(Debug)]
struct Entry {
    token: Token,
    stored_at: Timestamp,
    ttl: Duration,
}

impl TokenCache {
    /// The token, unless it is too old or has ended.
    pub fn get(&self, now: Timestamp) -> Option<&Token> {
        let entry = self.entry.as_ref()?;
        (now.since(entry.stored_at) < entry.ttl && !entry.token.is_expired(now))
            .then_some(&entry.token)
    }

    /// Keeps `token` for `ttl` from `now` on, in place of the one before.
    pub fn put(&mut self, token: Token, now: Timestamp, ttl: Duration) {
        self.last = Some((token.fingerprint(), token.version));
        self.entry = Some(Entry {
            token,
            stored_at: now,
            ttl,
        });
    }

    /// Drops the token; rejections stay known.
    pub fn clear(&mut self) {
        self.entry = None;
    }

    /// Remembers that the home rejected this token, and drops it if it is the one in here; a newer one stays.
    pub fn reject(&mut self, fingerprint: Fingerprint) {
        let version = self
            .last
            .filter(|(last, _)| *last == fingerprint)
            .and_then(|(_, version)| version);
        if !self.is_rejected(fingerprint, version) {
            if self.rejected.len() == REMEMBERED_REJECTIONS {
                self.rejected.pop_front();
            }
            self.rejected.push_back((fingerprint, version));
        }
        if self
            .entry
            .as_ref()
            .is_some_and(|entry| entry.token.fingerprint() == fingerprint)
        {
            self.entry = None;
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

/// `ttl` shortened by up to a tenth, so that sandboxes started together do not read the parameter together.
/// `random` is uniform in 0..1.
pub fn with_jitter(ttl: Duration, random: f64) -> Duration {
    ttl.mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0))
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

    #[test]
    fn serves_until_the_ttl_and_no_longer() {
        let mut cache = TokenCache::default();
        assert!(cache.get(at(0)).is_none());
        cache.put(token("a"), at(0), SECOND * 300);
        assert!(cache.get(at(299)).is_some());
        assert!(cache.get(at(300)).is_none());
        cache.put(token("a"), at(0), Duration::ZERO);
        assert!(cache.get(at(0)).is_none(), "a TTL of 0 keeps nothing");
    }

    #[test]
    fn a_frozen_sandbox_finds_its_token_too_old() {
        let mut cache = TokenCache::default();
        cache.put(token("a"), at(0), SECOND * 300);
        let restored = Timestamp {
            monotonic: at(1).monotonic,
            unix: at(600).unix,
        };
        assert!(cache.get(restored).is_none());
    }

    #[test]
    fn a_token_is_not_served_past_its_own_end() {
        let mut cache = TokenCache::default();
        let expiring = Token {
            expires_at: Some(Duration::from_secs(1_010)),
            ..token("a")
        };
        cache.put(expiring, at(0), SECOND * 300);
        assert!(cache.get(at(9)).is_some());
        assert!(cache.get(at(10)).is_none());
    }

    #[test]
    fn a_rejection_drops_that_very_token_and_is_remembered() {
        let mut cache = TokenCache::default();
        let (old, new) = (token("old"), token("new"));
        cache.put(new.clone(), at(0), SECOND * 300);
        cache.reject(old.fingerprint());
        assert!(cache.get(at(1)).is_some(), "a newer token stays");
        cache.reject(new.fingerprint());
        assert!(cache.get(at(1)).is_none());
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
        assert_eq!(cache.rejected.len(), REMEMBERED_REJECTIONS);
        assert!(cache.is_rejected(token("99").fingerprint(), None));
    }

    #[test]
    fn jitter_only_shortens() {
        assert_eq!(with_jitter(SECOND * 300, 0.0), SECOND * 300);
        assert_eq!(with_jitter(SECOND * 300, 1.0), SECOND * 270);
        assert_eq!(with_jitter(Duration::ZERO, 0.5), Duration::ZERO);
    }
}
