use std::sync::Arc;

use futures_util::future::{FutureExt as _, join_all};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use super::*;
use crate::home::source::{Origin, Setting, SourceFault};
use crate::service::access::Verifier;
use crate::service::access::testing::{Place, SECRET, Stage, TestKey, claims, key_set, with};

const MINUTES_10: u64 = 600;
const HOURS_24: u64 = 24 * 60 * 60;

fn rsa_set(ids: &[&str]) -> Vec<u8> {
    let key = TestKey::rsa();
    key_set(&ids.iter().map(|id| key.jwk(id)).collect::<Vec<_>>())
}

async fn find(store: &KeyStore, id: &str) -> Result<Arc<DecodingKey>, AccessError> {
    store.find(Some(id), Algorithm::RS256).await
}

fn unavailable(reason: &str) -> Result<Arc<DecodingKey>, AccessError> {
    Err(AccessError::KeysUnavailable(KeysError::KeySet(
        reason.into(),
    )))
}

/// Compares two outcomes. Two keys count as equal, because `DecodingKey` does not implement `PartialEq`.
fn same(
    found: Result<Arc<DecodingKey>, AccessError>,
    expected: Result<Arc<DecodingKey>, AccessError>,
) {
    assert_eq!(found.map(|_| ()), expected.map(|_| ()));
}

#[tokio::test]
async fn keys_are_kept_for_ten_minutes() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a"])));
    let store = stage.key_set();
    for _ in 0..3 {
        find(&store, "a").await.unwrap();
    }
    stage.advance(MINUTES_10 - 1);
    find(&store, "a").await.unwrap();
    assert_eq!(stage.place.asked(), 1);
    stage.advance(1);
    find(&store, "a").await.unwrap();
    assert_eq!(stage.place.asked(), 2);
    find(&store, "a").await.unwrap();
    assert_eq!(stage.place.asked(), 2);
}

#[tokio::test]
async fn withdrawn_key_is_unknown_after_the_next_read() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a", "b"])));
    let store = stage.key_set();
    find(&store, "a").await.unwrap();
    stage.place.set(Ok(&rsa_set(&["b"])));
    stage.advance(MINUTES_10);
    find(&store, "b").await.unwrap();
    same(find(&store, "a").await, Err(AccessError::UnknownKey));
}

#[tokio::test]
async fn unknown_key_ids_cause_at_most_one_read_every_30_seconds() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a"])));
    let store = stage.key_set();
    find(&store, "a").await.unwrap();
    stage.advance(30);
    stage.place.set(Ok(&rsa_set(&["a", "b"])));
    find(&store, "b").await.unwrap();
    assert_eq!(stage.place.asked(), 2);
    for round in 0..3 {
        for made_up in 0..20 {
            let id = format!("made-up-{made_up}");
            same(find(&store, &id).await, Err(AccessError::UnknownKey));
        }
        // The cool-down of 30 seconds also follows a successful read.
        assert_eq!(stage.place.asked(), 2 + round, "round {round}");
        stage.advance(29);
        same(find(&store, "made-up").await, Err(AccessError::UnknownKey));
        assert_eq!(stage.place.asked(), 2 + round, "round {round}");
        stage.advance(1);
        same(find(&store, "made-up").await, Err(AccessError::UnknownKey));
        assert_eq!(stage.place.asked(), 3 + round, "round {round}");
        // A known key causes no read.
        find(&store, "a").await.unwrap();
        assert_eq!(stage.place.asked(), 3 + round, "round {round}");
    }
}

#[tokio::test]
async fn failed_read_is_retried_after_30_seconds() {
    let stage = Stage::new(Place::holding(b""));
    stage.place.set(Err("the issuer is down"));
    let store = stage.key_set();
    for _ in 0..20 {
        same(find(&store, "a").await, unavailable("the issuer is down"));
    }
    assert_eq!(stage.place.asked(), 1);
    stage.advance(29);
    same(find(&store, "a").await, unavailable("the issuer is down"));
    assert_eq!(stage.place.asked(), 1);
    stage.place.set(Ok(&rsa_set(&["a"])));
    stage.advance(1);
    find(&store, "a").await.unwrap();
    assert_eq!(stage.place.asked(), 2);
}

#[tokio::test]
async fn stale_keys_are_used_for_a_day_while_the_issuer_is_down() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a"])));
    let store = stage.key_set();
    find(&store, "a").await.unwrap();
    stage.place.set(Err("the issuer is down"));
    stage.advance(MINUTES_10);
    find(&store, "a").await.unwrap();
    // An unknown key is still reported as unknown, and not as a fault of the issuer.
    same(find(&store, "b").await, Err(AccessError::UnknownKey));
    stage.advance(HOURS_24 - MINUTES_10 - 1);
    find(&store, "a").await.unwrap();
    stage.advance(1);
    same(find(&store, "a").await, unavailable("the issuer is down"));
    same(find(&store, "b").await, unavailable("the issuer is down"));
    stage.place.set(Ok(&rsa_set(&["a"])));
    stage.advance(30);
    find(&store, "a").await.unwrap();
}

#[tokio::test]
async fn invalid_key_set_does_not_replace_the_cached_keys() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a"])));
    let store = stage.key_set();
    find(&store, "a").await.unwrap();
    let many_words = "[".repeat(100_000);
    for (bad, reason) in [
        ("<html>", "the key set is not JSON"),
        (many_words.as_str(), "the key set is not JSON"),
        ("[]", "the key set has no `keys`"),
        (r#"{"keys":{}}"#, "the key set has no `keys`"),
        (
            r#"{"keys":[]}"#,
            "the key set has no key that can verify signatures",
        ),
        (
            r#"{"keys":[null,1,{"kty":"RSA"},{"kty":"RSA","n":"!","e":"AQAB"},{"kty":"oct","k":"AA"}]}"#,
            "the key set has no key that can verify signatures",
        ),
    ] {
        stage.place.set(Ok(bad.as_bytes()));
        stage.advance(MINUTES_10);
        find(&store, "a").await.unwrap();
        let empty = Stage::new(Place::holding(bad.as_bytes()));
        same(find(&empty.key_set(), "a").await, unavailable(reason));
    }
}

#[tokio::test]
async fn unsupported_key_does_not_invalidate_the_other_keys() {
    let strange = [
        json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "strange", "pub": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "kid": "strange", "x": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "strange", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "kid": 5, "n": "AA", "e": "AQAB"}),
        json!("strange"),
    ];
    let keys: Vec<Value> = strange
        .into_iter()
        .chain([TestKey::rsa().jwk("a")])
        .collect();
    let stage = Stage::new(Place::holding(&key_set(&keys)));
    let store = stage.key_set();
    find(&store, "a").await.unwrap();
    same(find(&store, "strange").await, Err(AccessError::UnknownKey));
}

#[tokio::test]
async fn key_set_is_read_up_to_64_keys() {
    let key = TestKey::rsa();
    let keys: Vec<Value> = (0..65).map(|id| key.jwk(&id.to_string())).collect();
    let stage = Stage::new(Place::holding(&key_set(&keys)));
    let store = stage.key_set();
    find(&store, "63").await.unwrap();
    same(find(&store, "64").await, Err(AccessError::UnknownKey));
}

#[tokio::test]
async fn token_without_a_key_id_is_accepted_only_if_one_key_matches() {
    let (rsa, p256) = (TestKey::rsa(), TestKey::p256());
    let stage = Stage::new(Place::holding(&key_set(&[rsa.jwk("a"), p256.jwk("b")])));
    let store = stage.key_set();
    // One key of each kind: the algorithm selects the key.
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        store.find(None, algorithm).await.unwrap();
    }
    let two = Stage::new(Place::holding(&rsa_set(&["a", "b"])));
    same(
        two.key_set().find(None, Algorithm::RS256).await,
        Err(AccessError::UnknownKey),
    );
}

#[tokio::test]
async fn concurrent_requests_share_one_read() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a"])));
    let store = stage.key_set();
    stage.place.hold();
    let crowd = join_all((0..100).map(|_| find(&store, "a")));
    // All lookups are polled before the release.
    let (found, ()) = tokio::join!(crowd, async { stage.place.release() });
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(stage.place.asked(), 1);
    // The same holds for unknown keys.
    stage.advance(30);
    let strangers: Vec<String> = (0..100).map(|id| format!("made-up-{id}")).collect();
    let crowd = join_all(strangers.iter().map(|id| find(&store, id)));
    assert!(crowd.await.iter().all(Result::is_err));
    assert_eq!(stage.place.asked(), 2);
}

#[tokio::test]
async fn request_with_a_stale_key_does_not_wait_for_a_read() {
    let stage = Stage::new(Place::holding(&rsa_set(&["a"])));
    let store = stage.key_set();
    find(&store, "a").await.unwrap();
    stage.advance(MINUTES_10);
    stage.place.hold();
    let mut reader = std::pin::pin!(find(&store, "a"));
    assert!(futures_util::poll!(&mut reader).is_pending());
    let at_once = find(&store, "a").now_or_never();
    assert!(at_once.is_some_and(|found| found.is_ok()));
    stage.place.release();
    reader.await.unwrap();
    assert_eq!(stage.place.asked(), 2);
}

#[tokio::test]
async fn secret_shorter_than_32_bytes_is_rejected() {
    let short = KeysError::SecretTooShort { least_bytes: 32 };
    let long_enough = format!("  {}\n", "s".repeat(32));
    let padded = format!("{}{}", "s".repeat(31), " ".repeat(40));
    for (secret, is_long_enough) in [
        ("", false),
        (&*"s".repeat(31), false),
        (&*padded, false),
        (&*"s".repeat(32), true),
        (&*long_enough, true),
    ] {
        let stage = Stage::new(Place::holding(secret.as_bytes()));
        let found = stage.secret().find(None, Algorithm::HS256).await;
        let expected = (!is_long_enough).then(|| AccessError::KeysUnavailable(short.clone()));
        assert_eq!(found.err(), expected, "{} bytes", secret.len());
    }
    let stage = Stage::new(Place::holding(b""));
    stage.place.set(Err("AccessDeniedException"));
    let found = stage.secret().find(None, Algorithm::HS256).await;
    let code = "AccessDeniedException".to_owned();
    let error =
        Origin::new(Setting::CallerSecret, "/the/secret").failed(SourceFault::Failed { code });
    same(found, Err(AccessError::KeysUnavailable(error.into())));
}

fn hs256(secret: &[u8]) -> String {
    let payload = with(&claims(), "exp", json!(4_000_000_000_u64));
    TestKey::secret(secret).token(&json!({"alg": "HS256"}), &payload)
}

async fn verified(verifier: &Verifier, token: &str) -> Result<(), AccessError> {
    verifier.verify(token).await.map(|_| ())
}

const ROTATED: &[u8] = b"fedcba9876543210fedcba9876543210";

#[tokio::test]
async fn rotated_secret_is_accepted() {
    let stage = Stage::new(Place::holding(SECRET));
    let verifier = stage.verifier(stage.secret());
    let (old, new) = (hs256(SECRET), hs256(ROTATED));
    assert_eq!(verified(&verifier, &old).await, Ok(()));
    stage.place.set(Ok(ROTATED));
    stage.advance(29);
    assert_eq!(verified(&verifier, &new).await, Err(AccessError::Signature));
    assert_eq!(stage.place.asked(), 1);
    stage.advance(1);
    assert_eq!(verified(&verifier, &new).await, Ok(()));
    assert_eq!(verified(&verifier, &old).await, Err(AccessError::Signature));
    assert_eq!(stage.place.asked(), 2);
}

#[tokio::test]
async fn key_replaced_under_its_id_is_accepted() {
    let (rsa, other) = (TestKey::rsa(), TestKey::attackers_rsa());
    let stage = Stage::new(Place::holding(&key_set(&[rsa.jwk("a")])));
    let verifier = stage.verifier(stage.key_set());
    let token = |key: &TestKey| key.token(&json!({"alg": "RS256", "kid": "a"}), &claims());
    assert_eq!(verified(&verifier, &token(&rsa)).await, Ok(()));
    stage.place.set(Ok(&key_set(&[other.jwk("a")])));
    stage.advance(30);
    assert_eq!(verified(&verifier, &token(&other)).await, Ok(()));
    assert_eq!(
        verified(&verifier, &token(&rsa)).await,
        Err(AccessError::Signature)
    );
}

#[tokio::test]
async fn bad_signatures_cause_at_most_one_read_every_30_seconds() {
    let stage = Stage::new(Place::holding(SECRET));
    let verifier = stage.verifier(stage.secret());
    let (good, bad) = (hs256(SECRET), hs256(ROTATED));
    assert_eq!(verified(&verifier, &good).await, Ok(()));
    for round in 1..4 {
        stage.advance(30);
        // A failed read does not remove the cached keys.
        if round == 3 {
            stage.place.set(Err("ThrottlingException"));
        }
        let crowd = join_all((0..20).map(|_| verified(&verifier, &bad)));
        let refused = crowd
            .await
            .into_iter()
            .all(|one| one == Err(AccessError::Signature));
        assert!(refused, "round {round}");
        assert_eq!(verified(&verifier, &good).await, Ok(()), "round {round}");
        assert_eq!(stage.place.asked(), 1 + round, "round {round}");
    }
}

#[tokio::test]
async fn request_that_waited_for_a_read_uses_its_keys() {
    let stage = Stage::new(Place::holding(SECRET));
    let verifier = stage.verifier(stage.secret());
    assert_eq!(verified(&verifier, &hs256(SECRET)).await, Ok(()));
    stage.place.set(Ok(ROTATED));
    stage.advance(30);
    let new = hs256(ROTATED);
    stage.place.hold();
    let crowd = join_all((0..100).map(|_| verified(&verifier, &new)));
    let (found, ()) = tokio::join!(crowd, async { stage.place.release() });
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(stage.place.asked(), 2);
}
