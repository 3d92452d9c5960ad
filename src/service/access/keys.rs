//! The keys that callers' tokens are verified with: a key set at a URL, or a secret in a parameter.
//!
//! Both are kept, and read again when they are old, when a token names a key that is not among them, or when its
//! signature does not fit the key it names; but after each try, good or bad, not again for a while: whoever makes up
//! key ids or signatures must not make latchkey ask for keys with every request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use secrecy::ExposeSecret as _;

use super::error::{AccessError, KeysError};
use crate::base::clock::{Clock, Timestamp};
use crate::base::lock::Lock;
use crate::home::source::SecretSource;

/// From then on keys are read again.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// From then on keys that could not be read again are not used any more.
const KEPT_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// For how long after a try, good or bad, there is no other.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// The shortest secret that is taken: as long as the hash it is used with.
const LEAST_SECRET_BYTES: usize = 32;

/// More keys than any issuer has.
const MOST_KEYS: usize = 64;

/// A place that a key set is read from.
pub trait JwksSource: Send + Sync {
    /// Reads the key set's JSON.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// Where keys come from, which decides what algorithms are taken: a secret signs by HMAC alone, and a public key never
/// does.
pub enum KeySource {
    /// A set of public keys.
    Jwks(Box<dyn JwksSource>),
    /// A secret.
    Secret(Box<dyn SecretSource>),
}

impl KeySource {
    /// The algorithms that are taken.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Jwks(_) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
                Algorithm::ES256,
                Algorithm::ES384,
                Algorithm::EdDSA,
            ],
            Self::Secret(_) => &[Algorithm::HS256],
        }
    }

    async fn read(&self) -> Result<Vec<KnownKey>, KeysError> {
        match self {
            Self::Jwks(source) => {
                let read = source.fetch().await.and_then(|json| key_set(&json));
                read.map_err(KeysError::KeySet)
            }
            Self::Secret(source) => {
                let stored = source.fetch().await?;
                let secret = stored.value.expose_secret().trim().as_bytes();
                if secret.len() < LEAST_SECRET_BYTES {
                    return Err(KeysError::SecretTooShort {
                        least_bytes: LEAST_SECRET_BYTES,
                    });
                }
                Ok(vec![KnownKey {
                    id: None,
                    algorithm: None,
                    key: Arc::new(DecodingKey::from_secret(secret)),
                }])
            }
        }
    }
}

struct KnownKey {
    id: Option<String>,
    /// The one algorithm it is for, if it says so.
    algorithm: Option<Algorithm>,
    key: Arc<DecodingKey>,
}

/// Keys, kept.
pub struct KeyStore {
    source: KeySource,
    clock: Arc<dyn Clock>,
    kept: Lock<Kept>,
    /// Held while keys are read, so that callers who come together share one reading.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    keys: Vec<KnownKey>,
    read_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    failure: Option<KeysError>,
}

/// What a look at the kept keys came to.
enum Look {
    Found(Arc<DecodingKey>),
    /// Not among them, or they are old: to be read again, unless that was just tried.
    ReadAgain(Option<Arc<DecodingKey>>),
}

impl KeyStore {
    /// A store that has read nothing yet.
    pub fn new(source: KeySource, clock: Arc<dyn Clock>) -> Self {
        Self {
            source,
            clock,
            kept: Lock::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The algorithms that are taken.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        self.source.algorithms()
    }

    /// The key of this id for this algorithm.
    pub async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, AccessError> {
        let _reading = match self.look(id, algorithm) {
            Look::Found(key) => return Ok(key),
            // Nobody who has a key meanwhile waits for another's reading.
            Look::ReadAgain(Some(old)) => match self.reading.try_lock() {
                Ok(reading) => reading,
                Err(_) => return Ok(old),
            },
            Look::ReadAgain(None) => self.reading.lock().await,
        };
        // Whoever held the lock may have read it.
        let old = match self.look(id, algorithm) {
            Look::Found(key) => return Ok(key),
            Look::ReadAgain(old) => old,
        };
        if self.may_try() {
            let read = self.source.read().await;
            self.keep(read);
            if let Look::Found(key) = self.look(id, algorithm) {
                return Ok(key);
            }
        }
        if let Some(key) = old {
            return Ok(key);
        }
        let now = self.clock.now();
        let kept = self.kept();
        let has_usable = kept.read_at.is_some_and(|at| now.since(at) < KEPT_AT_MOST);
        match &kept.failure {
            Some(error) if !has_usable => Err(AccessError::KeysUnavailable(error.clone())),
            _ => Err(AccessError::UnknownKey),
        }
    }

    /// The key of this id once more, for a signature that `used` does not fit: what the id stands for may have been
    /// replaced, as a secret always is. `None` if nothing newer is known and it is too early to ask again.
    pub async fn find_newer(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        used: &Arc<DecodingKey>,
    ) -> Option<Arc<DecodingKey>> {
        let newer = || match self.look(id, algorithm) {
            Look::Found(key) | Look::ReadAgain(Some(key)) => {
                (!Arc::ptr_eq(&key, used)).then_some(key)
            }
            Look::ReadAgain(None) => None,
        };
        let _reading = self.reading.lock().await;
        // Whoever held the lock may have read it.
        if let Some(key) = newer() {
            return Some(key);
        }
        if !self.may_try() {
            return None;
        }
        let read = self.source.read().await;
        self.keep(read);
        newer()
    }

    fn look(&self, id: Option<&str>, algorithm: Algorithm) -> Look {
        let now = self.clock.now();
        let kept = self.kept();
        let age = kept.read_at.map(|at| now.since(at));
        let mut fitting = kept.keys.iter().filter(|known| known.fits(id, algorithm));
        let found = match (id, fitting.next(), fitting.next()) {
            (_, Some(key), None) => Some(key.key.clone()),
            // Without an id there must be no choice.
            (Some(_), Some(key), Some(_)) => Some(key.key.clone()),
            (None, Some(_), Some(_)) | (_, None, _) => None,
        };
        match (found, age) {
            (Some(key), Some(age)) if age < KEPT => Look::Found(key),
            (Some(key), Some(age)) if age < KEPT_AT_MOST => Look::ReadAgain(Some(key)),
            _ => Look::ReadAgain(None),
        }
    }

    fn may_try(&self) -> bool {
        let now = self.clock.now();
        self.kept()
            .tried_at
            .is_none_or(|at| now.since(at) >= COOL_DOWN)
    }

    fn keep(&self, read: Result<Vec<KnownKey>, KeysError>) {
        let now = self.clock.now();
        let mut kept = self.kept();
        kept.tried_at = Some(now);
        match read {
            Ok(keys) => {
                tracing::info!(category = "access", keys = keys.len(), "keys read");
                *kept = Kept {
                    keys,
                    read_at: Some(now),
                    tried_at: Some(now),
                    failure: None,
                };
            }
            Err(error) => {
                tracing::warn!(category = "access", error = %error, "no keys");
                kept.failure = Some(error);
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing panics while the lock is held, and no state here can be half changed.
        self.kept.lock()
    }
}

impl KnownKey {
    fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let is_named = match (id, &self.id) {
            (Some(wanted), Some(own)) => wanted == own,
            // A secret has no id, whatever the token says.
            (Some(_), None) => self.key.family() == AlgorithmFamily::Hmac,
            (None, _) => true,
        };
        is_named
            && self.algorithm.is_none_or(|own| own == algorithm)
            && self.key.family().algorithms().contains(&algorithm)
            && self.curve_fits(algorithm)
    }

    /// A curve has one algorithm; ring would refuse the other, but only after another key could have been found.
    fn curve_fits(&self, algorithm: Algorithm) -> bool {
        match (self.key.kind(), algorithm) {
            (jsonwebtoken::DecodingKeyKind::SecretOrDer(point), Algorithm::ES256) => {
                point.len() == 65
            }
            (jsonwebtoken::DecodingKeyKind::SecretOrDer(point), Algorithm::ES384) => {
                point.len() == 97
            }
            _ => true,
        }
    }
}

/// The public keys of a set. What is no public key for signatures is passed over: an issuer may have others.
fn key_set(json: &[u8]) -> Result<Vec<KnownKey>, String> {
    let set: serde_json::Value =
        serde_json::from_slice(json).map_err(|_| "the key set is not JSON".to_owned())?;
    let keys = set.get("keys").and_then(serde_json::Value::as_array);
    let keys = keys.ok_or_else(|| "the key set has no `keys`".to_owned())?;
    let keys: Vec<KnownKey> = keys
        .iter()
        .take(MOST_KEYS)
        // One key of a kind unknown here must not take the others with it.
        .filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok())
        .filter_map(|key| known(&key))
        .collect();
    if keys.is_empty() {
        return Err("the key set has no key that signatures could be verified with".into());
    }
    Ok(keys)
}

fn known(jwk: &Jwk) -> Option<KnownKey> {
    // A secret in a public place is none.
    if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
        return None;
    }
    let common = &jwk.common;
    if common
        .public_key_use
        .as_ref()
        .is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
    {
        return None;
    }
    let operations = common.key_operations.as_ref();
    if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let algorithm = match common.key_algorithm {
        None => None,
        Some(named) => Some(Algorithm::try_from(named).ok()?),
    };
    Some(KnownKey {
        id: common.key_id.clone(),
        algorithm,
        key: Arc::new(DecodingKey::from_jwk(jwk).ok()?),
    })
}

#[cfg(test)]
mod tests;
