//! An issuer for tests: keys of every kind, signed tokens, and a source of keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::keys::{JwksSource, KeySource, KeyStore};
use super::verifier::{Verifier, VerifierConfig};
use crate::base::clock::ManualClock;
use crate::home::source::{Origin, SecretSource, Setting, SourceError, SourceFault, StoredSecret};

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const AUDIENCE: &str = "latchkey";
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The public half of the issuer's RSA key.
pub(super) const RSA_PEM: &str = include_str!("../../../tests/fixtures/keys/rsa-issuer.pub.pem");

/// A key that signs tokens.
pub(super) enum TestKey {
    Rsa(Box<RsaKeyPair>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl TestKey {
    pub(super) fn rsa() -> Self {
        let pkcs8 = include_bytes!("../../../tests/fixtures/keys/rsa-issuer.pk8");
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).unwrap()))
    }

    pub(super) fn attackers_rsa() -> Self {
        let pkcs8 = include_bytes!("../../../tests/fixtures/keys/rsa-attacker.pk8");
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).unwrap()))
    }

    pub(super) fn p256() -> Self {
        let how = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &SystemRandom::new()).unwrap();
        Self::P256(pkcs8.as_ref().to_vec())
    }

    pub(super) fn p384() -> Self {
        let how = &signature::ECDSA_P384_SHA384_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &SystemRandom::new()).unwrap();
        Self::P384(pkcs8.as_ref().to_vec())
    }

    pub(super) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(super) fn secret(bytes: &[u8]) -> Self {
        Self::Secret(bytes.to_vec())
    }

    /// Signs a message with this JWT algorithm. A key that does not support the algorithm uses its own algorithm.
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let how: &dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(how, &random, message, &mut signed).unwrap();
                signed
            }
            Self::P256(pkcs8) => {
                let how = match algorithm {
                    "DER" => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
                    _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                };
                let key = EcdsaKeyPair::from_pkcs8(how, pkcs8, &random).unwrap();
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::P384(pkcs8) => {
                let how = &signature::ECDSA_P384_SHA384_FIXED_SIGNING;
                let key = EcdsaKeyPair::from_pkcs8(how, pkcs8, &random).unwrap();
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// Returns the public half as a JWK.
    pub(super) fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": id, "n": b64(public.n), "e": b64(public.e)})
            }
            Self::P256(pkcs8) => {
                let how = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                let key = EcdsaKeyPair::from_pkcs8(how, pkcs8, &SystemRandom::new()).unwrap();
                point("P-256", id, key.public_key().as_ref())
            }
            Self::P384(pkcs8) => {
                let how = &signature::ECDSA_P384_SHA384_FIXED_SIGNING;
                let key = EcdsaKeyPair::from_pkcs8(how, pkcs8, &SystemRandom::new()).unwrap();
                point("P-384", id, key.public_key().as_ref())
            }
            Self::Ed25519(key) => {
                let x = b64(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x})
            }
            Self::Secret(secret) => json!({"kty": "oct", "kid": id, "k": b64(secret)}),
        }
    }

    /// Returns the public half of an RSA key as DER.
    pub(super) fn der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public().as_ref().to_vec(),
            _ => panic!("not an RSA key"),
        }
    }

    /// Returns a signed token with this header and payload.
    pub(super) fn token(&self, header: &Value, payload: &Value) -> String {
        self.token_of(header.to_string(), payload.to_string())
    }

    /// Returns a signed token with any bytes as its header and payload.
    pub(super) fn token_of(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let algorithm = serde_json::from_slice::<Value>(header.as_ref()).unwrap_or_default();
        let algorithm = algorithm["alg"].as_str().unwrap_or_default();
        let message = format!("{}.{}", b64(header), b64(payload));
        let signed = self.sign(algorithm, message.as_bytes());
        format!("{message}.{}", b64(signed))
    }
}

fn point(curve: &str, id: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "kid": id, "x": b64(x), "y": b64(y)})
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns `value` with this member set, or removed for `None`.
pub(super) fn with(value: &Value, name: &str, member: impl Into<Option<Value>>) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().unwrap();
    match member.into() {
        Some(member) => members.insert(name.into(), member),
        None => members.remove(name),
    };
    value
}

/// Returns the claims of a valid token.
pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 300})
}

pub(super) fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A source of a key set or a secret.
pub(super) struct Place {
    holds: Mutex<Result<Vec<u8>, String>>,
    asked: AtomicUsize,
    /// Each answer takes one permit of this semaphore.
    answers: Semaphore,
}

impl Place {
    pub(super) fn holding(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            holds: Mutex::new(Ok(bytes.to_vec())),
            asked: AtomicUsize::new(0),
            answers: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    pub(super) fn set(&self, holds: Result<&[u8], &str>) {
        *self.holds.lock().unwrap() = holds.map(<[u8]>::to_vec).map_err(str::to_owned);
    }

    /// Returns the number of reads.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Delays all answers until a [release](Self::release).
    pub(super) fn hold(&self) {
        self.answers.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn release(&self) {
        self.answers.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn read(&self) -> Result<Vec<u8>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        self.holds.lock().unwrap().clone()
    }
}

impl JwksSource for Arc<Place> {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(self.read())
    }
}

impl SecretSource for Place {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        Box::pin(async {
            let failed = |code| self.origin().failed(SourceFault::Failed { code });
            let secret = self.read().await.map_err(failed)?;
            Ok(StoredSecret {
                value: String::from_utf8(secret).unwrap().into(),
                version: None,
            })
        })
    }

    fn origin(&self) -> Origin {
        Origin::new(Setting::CallerSecret, "/the/secret")
    }
}

/// A clock and a source of keys.
pub(super) struct Stage {
    pub(super) clock: Arc<ManualClock>,
    pub(super) place: Arc<Place>,
}

impl Stage {
    pub(super) fn new(place: Arc<Place>) -> Self {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(NOW)));
        Self { clock, place }
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn key_set(&self) -> KeyStore {
        KeyStore::new(
            KeySource::Jwks(Box::new(self.place.clone())),
            self.clock.clone(),
        )
    }

    pub(super) fn secret(&self) -> KeyStore {
        KeyStore::new(
            KeySource::Secret(Box::new(self.place.clone())),
            self.clock.clone(),
        )
    }

    pub(super) fn verifier(&self, keys: KeyStore) -> Verifier {
        let config = VerifierConfig {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            tenant_claim: "tenant".into(),
            permissions_claim: "permissions".into(),
            plan_claim: "plan".into(),
        };
        Verifier::new(config, keys, self.clock.clone())
    }
}
