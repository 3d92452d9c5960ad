//! Tests of the verifier: a table of the known attacks on JSON Web Tokens, and valid tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::service::access::testing::{
    AUDIENCE, ISSUER, NOW, Place, SECRET, Stage, TestKey, claims, key_set, with,
};

mod claims;
mod good;
mod header;
mod shape;
mod signature;

/// The source of the verifier's keys.
#[derive(Clone, Copy, Debug)]
enum Source {
    KeySet,
    Secret,
}

/// A token that must be rejected, and the expected error.
struct Attack {
    name: String,
    source: Source,
    token: String,
    refused: AccessError,
}

fn attack(name: impl Into<String>, token: String, refused: AccessError) -> Attack {
    Attack {
        name: name.into(),
        source: Source::KeySet,
        token,
        refused,
    }
}

impl Attack {
    /// Returns the same attack on a verifier with a secret.
    fn on_secret(self) -> Self {
        Self {
            source: Source::Secret,
            ..self
        }
    }
}

const PARTS: AccessError = AccessError::Malformed("it does not have three parts separated by dots");
const BASE64: AccessError = AccessError::Malformed("a part of it is not base64url");
const HEADER: AccessError =
    AccessError::Malformed("its header is not a JSON object, or has a duplicate member");
const PAYLOAD: AccessError =
    AccessError::Malformed("its payload is not a JSON object, or has a duplicate member");
const EXTENSIONS: AccessError =
    AccessError::Malformed("its header requires unsupported extensions");
const NO_ALG: AccessError = AccessError::Malformed("its header has no `alg`");
const BAD_KID: AccessError = AccessError::Malformed("its `kid` is not a short string");
const TOO_LARGE: AccessError = AccessError::TooLarge;

/// The issuer's keys.
struct Keys {
    rsa: TestKey,
    p256: TestKey,
    p384: TestKey,
    ed25519: TestKey,
    secret: TestKey,
    /// A key of an attacker.
    attackers: TestKey,
}

/// The public half of an RSA key with 1024 bits, and a token that it signed.
const SMALL_JWK: &str = include_str!("../../../../tests/fixtures/keys/rsa-1024.jwk.json");
const SMALL_TOKEN: &str = include_str!("../../../../tests/fixtures/keys/rsa-1024.jwt");

impl Keys {
    fn new() -> Self {
        Self {
            rsa: TestKey::rsa(),
            p256: TestKey::p256(),
            p384: TestKey::p384(),
            ed25519: TestKey::ed25519(),
            secret: TestKey::secret(SECRET),
            attackers: TestKey::attackers_rsa(),
        }
    }

    /// Returns the issuer's key set. Some of its keys are published by mistake.
    fn set(&self) -> Vec<u8> {
        let rsa = |id: &str, name: &str, value: Value| with(&self.rsa.jwk(id), name, value);
        key_set(&[
            self.rsa.jwk("rsa"),
            self.p256.jwk("p256"),
            self.p384.jwk("p384"),
            self.ed25519.jwk("ed25519"),
            self.secret.jwk("oct"),
            serde_json::from_str(SMALL_JWK).unwrap(),
            rsa("for-encryption", "use", json!("enc")),
            rsa("for-wrapping", "key_ops", json!(["wrapKey"])),
            rsa("for-rs512", "alg", json!("RS512")),
            rsa("for-oaep", "alg", json!("RSA-OAEP")),
            rsa("for-hs256", "alg", json!("HS256")),
            rsa("for-what", "alg", json!("XY256")),
            rsa("for-all", "key_ops", json!(["sign", "verify"])),
        ])
    }

    /// Returns a valid token, signed with the issuer's RSA key.
    fn good(&self) -> String {
        self.rsa.token(&rs256(), &claims())
    }
}

fn rs256() -> Value {
    json!({"alg": "RS256", "kid": "rsa"})
}

/// The parts of a token.
fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().unwrap()
}

struct Verifiers {
    key_set: (Stage, Verifier),
    secret: (Stage, Verifier),
}

impl Verifiers {
    fn new(keys: &Keys) -> Self {
        let stage = Stage::new(Place::holding(&keys.set()));
        let verifier = stage.verifier(stage.key_set());
        let secret_stage = Stage::new(Place::holding(SECRET));
        let secret_verifier = secret_stage.verifier(secret_stage.secret());
        Self {
            key_set: (stage, verifier),
            secret: (secret_stage, secret_verifier),
        }
    }

    async fn verify(&self, source: Source, token: &str) -> Result<Caller, AccessError> {
        match source {
            Source::KeySet => self.key_set.1.verify(token).await,
            Source::Secret => self.secret.1.verify(token).await,
        }
    }
}

#[tokio::test]
async fn every_attack_is_rejected_with_its_error() {
    let keys = Keys::new();
    let attacks: Vec<Attack> = [
        header::attacks(&keys),
        signature::attacks(&keys),
        claims::attacks(&keys),
        shape::attacks(&keys),
    ]
    .into_iter()
    .flatten()
    .collect();
    let verifiers = Verifiers::new(&keys);
    let mut wrong = Vec::new();
    for attack in &attacks {
        let found = verifiers.verify(attack.source, &attack.token).await;
        let refused = found.as_ref().err() == Some(&attack.refused);
        if !refused {
            wrong.push(format!(
                "{}: {found:?} instead of {:?}",
                attack.name, attack.refused
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The first token caused one read of the keys. No other token caused a read, at the issuer or elsewhere.
    assert_eq!(verifiers.key_set.0.place.asked(), 1);
    assert_eq!(verifiers.secret.0.place.asked(), 1);
    // A valid token is still accepted after all attacks.
    let good = verifiers.verify(Source::KeySet, &keys.good()).await;
    assert!(good.is_ok(), "{good:?}");
}

#[test]
fn names_of_attacks_are_unique() {
    let keys = Keys::new();
    let mut names: Vec<String> = [
        header::attacks(&keys),
        signature::attacks(&keys),
        claims::attacks(&keys),
        shape::attacks(&keys),
    ]
    .into_iter()
    .flatten()
    .map(|attack| attack.name)
    .collect();
    let rows = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), rows);
}

#[tokio::test]
async fn rejection_error_repeats_no_part_of_the_token() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    let header = json!({"alg": "RS256", "kid": "canary-kid"});
    let payload = with(&claims(), "sub", json!("canary-sub"));
    for token in [
        keys.rsa.token(&header, &payload),
        keys.rsa.token(&json!({"alg": "canary-alg"}), &payload),
        keys.rsa
            .token(&rs256(), &with(&payload, "iss", json!("canary-iss"))),
        keys.attackers.token(&rs256(), &payload),
        "canary.canary.canary".into(),
    ] {
        let error = verifiers.verify(Source::KeySet, &token).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}
