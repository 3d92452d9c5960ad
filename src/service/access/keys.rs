//! Caches the keys for verifying callers' tokens: a key set at a URL, or a secret in a parameter.
//!
//! The keys are read again when they are stale, when a token names an unknown key, or when a signature does not match
//! the named key. After each read, successful or not, the next read waits for a cool-down. Without it, an attacker with
//! invented key ids or signatures could cause a read for every request.

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

/// The age after which cached keys are stale and are read again.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// The age after which stale keys are no longer used, even if they could not be read again.
const KEPT_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// The minimum time between two reads, successful or not.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// The minimum length of a secret: the length of the SHA-256 hash with which it is used.
const LEAST_SECRET_BYTES: usize = 32;

/// The maximum number of keys that are read from a set.
const MOST_KEYS: usize = 64;

/// A source of a key set.
pub trait JwksSource: Send + Sync {
    /// Reads the key set's JSON.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// The source of the keys. It sets the accepted algorithms: a secret verifies only HMAC signatures, and a public key
/// never verifies them.
pub enum KeySource {
    /// A set of public keys.
    Jwks(Box<dyn JwksSource>),
    /// A secret.
    Secret(Box<dyn SecretSource>),
}

impl KeySource {
    /// Returns the accepted algorithms.
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
    /// The only algorithm of the key, if the key set names it.
    algorithm: Option<Algorithm>,
    key: Arc<DecodingKey>,
}

/// A cache of keys.
pub struct KeyStore {
    source: KeySource,
    clock: Arc<dyn Clock>,
    kept: Lock<Kept>,
    /// Held during a read, so that concurrent requests share it.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    keys: Vec<KnownKey>,
    read_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    failure: Option<KeysError>,
}

/// The outcome of a lookup in the cached keys.
enum Look {
    /// A cache hit.
    Found(Arc<DecodingKey>),
    /// The key is unknown, or it is the given stale key. Read the keys again unless the cool-down lasts.
    ReadAgain(Option<Arc<DecodingKey>>),
}

impl KeyStore {
    /// Creates an empty cache. The first lookup reads the keys.
    pub fn new(source: KeySource, clock: Arc<dyn Clock>) -> Self {
        Self {
            source,
            clock,
            kept: Lock::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the accepted algorithms.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        self.source.algorithms()
    }

    /// Reads the keys before the first lookup needs them. After a failure, the first lookup reads them again at once.
    pub async fn read_ahead(&self) {
        let Ok(_reading) = self.reading.try_lock() else {
            return;
        };
        if self.may_try()
            && self.kept().read_at.is_none()
            && let Ok(keys) = self.source.read().await
        {
            self.keep(Ok(keys));
        }
    }

    /// Returns the key with this id for this algorithm.
    pub async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, AccessError> {
        let _reading = match self.look(id, algorithm) {
            Look::Found(key) => return Ok(key),
            // A request with a stale key does not wait for a read that is in flight.
            Look::ReadAgain(Some(old)) => match self.reading.try_lock() {
                Ok(reading) => reading,
                Err(_) => return Ok(old),
            },
            Look::ReadAgain(None) => self.reading.lock().await,
        };
        // The previous holder of the lock may have read the key.
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

    /// Returns a newer key with this id, for a signature that does not match the key `used`. A key can be replaced
    /// under the same id. A secret has no id, so a new secret always replaces the old one. Returns `None` if the cache
    /// has no newer key and the cool-down lasts, or if a read finds no newer key.
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
        // The previous holder of the lock may have read the key.
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
            // Without an id, exactly one key must match.
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
                tracing::warn!(category = "access", error = %error, "keys not read");
                kept.failure = Some(error);
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // No code panics while it holds the lock, so the state is always consistent.
        self.kept.lock()
    }
}

impl KnownKey {
    fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let is_named = match (id, &self.id) {
            (Some(wanted), Some(own)) => wanted == own,
            // A secret has no id. The token's key id is ignored.
            (Some(_), None) => self.key.family() == AlgorithmFamily::Hmac,
            (None, _) => true,
        };
        is_named
            && self.algorithm.is_none_or(|own| own == algorithm)
            && self.key.family().algorithms().contains(&algorithm)
            && self.curve_fits(algorithm)
    }

    /// Returns true if the key's curve belongs to the algorithm. ring would reject a wrong curve too late: the lookup
    /// could no longer find another key.
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

/// Parses the public keys for signatures in a key set. Other keys are ignored, because an issuer's set may contain
/// them.
fn key_set(json: &[u8]) -> Result<Vec<KnownKey>, String> {
    let set: serde_json::Value =
        serde_json::from_slice(json).map_err(|_| "the key set is not JSON".to_owned())?;
    let keys = set.get("keys").and_then(serde_json::Value::as_array);
    let keys = keys.ok_or_else(|| "the key set has no `keys`".to_owned())?;
    let keys: Vec<KnownKey> = keys
        .iter()
        .take(MOST_KEYS)
        // A key of an unknown kind must not invalidate the other keys.
        .filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok())
        .filter_map(|key| known(&key))
        .collect();
    if keys.is_empty() {
        return Err("the key set has no key that can verify signatures".into());
    }
    Ok(keys)
}

fn known(jwk: &Jwk) -> Option<KnownKey> {
    // A secret in a public key set is not secret.
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
