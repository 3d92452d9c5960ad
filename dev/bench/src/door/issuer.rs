//! The issuer of the callers' tokens, and the time of their verification.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::service::access::{JwksSource, KeySource, KeyStore, Verifier, VerifierConfig};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::json;

use super::batch::{BATCH, BATCHES, us_of_one};
use crate::error::Error;
use crate::figures::Sample;

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const AUDIENCE: &str = "latchkey";
pub(super) const PERMISSIONS: [&str; 3] = ["read:light.*", "call:switch.*", "call:light.*:light.*"];

/// An issuer of tokens with one algorithm.
pub(super) enum Issuer {
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
}

impl Issuer {
    pub(super) fn rs256() -> Result<Self, Error> {
        let pkcs8 = include_bytes!("../../../../tests/fixtures/keys/rsa-issuer.pk8");
        let key = RsaKeyPair::from_pkcs8(pkcs8).map_err(rejected)?;
        Ok(Self::Rs256(Box::new(key)))
    }

    pub(super) fn es256() -> Result<Self, Error> {
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &random).map_err(rejected)?;
        let key = EcdsaKeyPair::from_pkcs8(how, pkcs8.as_ref(), &random).map_err(rejected)?;
        Ok(Self::Es256(Box::new(key)))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "door_rs256",
            Self::Es256(_) => "door_es256",
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match self {
            Self::Rs256(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signed)
                    .map_err(rejected)?;
                Ok(signed)
            }
            Self::Es256(key) => Ok(key
                .sign(&random, message)
                .map_err(rejected)?
                .as_ref()
                .to_vec()),
        }
    }

    /// Returns a token with typical claims.
    pub(super) fn token(&self) -> Result<String, Error> {
        let until = SystemClock::new().now().unix + Duration::from_secs(3_600);
        let header = json!({ "alg": self.algorithm(), "typ": "JWT", "kid": "one" });
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "exp": until.as_secs(),
            "permissions": PERMISSIONS,
        });
        let message = format!(
            "{}.{}",
            encoded(header.to_string()),
            encoded(claims.to_string())
        );
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", encoded(signature)))
    }

    pub(super) fn key_set(&self) -> String {
        let key = match self {
            Self::Rs256(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({ "kty": "RSA", "n": encoded(public.n), "e": encoded(public.e) })
            }
            Self::Es256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
            }
        };
        let mut key = key;
        key["kid"] = json!("one");
        json!({ "keys": [key] }).to_string()
    }

    /// Returns the time of the verification of a token, and of its signature alone, in microseconds.
    pub(super) async fn verification(&self, jwt: &str) -> Result<(f64, f64), Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let keys = KeyStore::new(
            KeySource::Jwks(Box::new(Held(self.key_set()))),
            Arc::clone(&clock),
        );
        let config = VerifierConfig {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            tenant_claim: "tenant".into(),
            permissions_claim: "permissions".into(),
            plan_claim: "plan".into(),
        };
        let verifier = Verifier::new(config, keys, clock);
        let (message, signature) = jwt.rsplit_once('.').unwrap_or_default();
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(rejected)?;
        let (mut times, mut floor) = (Sample::default(), Sample::default());
        for _ in 0..BATCHES {
            let began = Instant::now();
            for _ in 0..BATCH {
                let caller = verifier.verify(black_box(jwt)).await;
                black_box(caller).map_err(rejected)?;
            }
            times.push(began.elapsed());
            let began = Instant::now();
            for _ in 0..BATCH {
                self.check(black_box(message).as_bytes(), &signature)?;
            }
            floor.push(began.elapsed());
        }
        Ok((us_of_one(&times), us_of_one(&floor)))
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        match self {
            Self::Rs256(key) => {
                let key =
                    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref());
                key.verify(message, signature).map_err(rejected)
            }
            Self::Es256(key) => {
                let key =
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
                key.verify(message, signature).map_err(rejected)
            }
        }
    }
}

/// A key set in memory.
struct Held(String);

impl JwksSource for Held {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(async { Ok(self.0.clone().into_bytes()) })
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rejected(error: impl std::fmt::Display) -> Error {
    Error::Wrong(format!("a key or a token is invalid: {error}"))
}
