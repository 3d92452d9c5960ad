//! Valid tokens and their callers.

use super::*;

fn ann(permissions: &[&str]) -> Caller {
    Caller {
        subject: "ann".into(),
        tenant: None,
        permissions: permissions
            .iter()
            .map(|text| Permission::parse(text).unwrap())
            .collect(),
        plan: None,
        expires_at: Duration::from_secs(NOW + 300),
    }
}

#[tokio::test]
async fn token_of_each_accepted_algorithm_is_verified() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    for (alg, id, key) in [
        ("RS256", "rsa", &keys.rsa),
        ("RS384", "rsa", &keys.rsa),
        ("RS512", "rsa", &keys.rsa),
        ("PS256", "rsa", &keys.rsa),
        ("PS384", "rsa", &keys.rsa),
        ("PS512", "rsa", &keys.rsa),
        ("RS512", "for-rs512", &keys.rsa),
        ("RS256", "for-all", &keys.rsa),
        ("ES256", "p256", &keys.p256),
        ("ES384", "p384", &keys.p384),
        ("EdDSA", "ed25519", &keys.ed25519),
    ] {
        let token = key.token(&json!({"alg": alg, "kid": id}), &claims());
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Ok(ann(&[])), "{alg} {id}");
    }
    // A secret has no id. The token's key id is ignored.
    for header in [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "kid": "whatever"}),
    ] {
        let token = keys.secret.token(&header, &claims());
        let found = verifiers.verify(Source::Secret, &token).await;
        assert_eq!(found, Ok(ann(&[])), "{header}");
    }
    // A token needs no key id if only one key matches.
    for (alg, key) in [("ES256", &keys.p256), ("EdDSA", &keys.ed25519)] {
        let token = key.token(&json!({ "alg": alg }), &claims());
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Ok(ann(&[])), "{alg} without a kid");
    }
}

#[tokio::test]
async fn other_header_members_are_ignored() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    for (name, member) in [
        ("typ", json!("at+jwt")),
        ("jwk", keys.attackers.jwk("rsa")),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5c", json!(["AAAA"])),
        ("deep", json!([[[[[["x"]]]]]])),
    ] {
        let token = keys.rsa.token(&with(&rs256(), name, member), &claims());
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Ok(ann(&[])), "{name}");
    }
    assert_eq!(verifiers.key_set.0.place.asked(), 1);
}

#[tokio::test]
async fn token_times_are_accepted_with_a_leeway_of_a_minute() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    let (stage, verifier) = &verifiers.key_set;
    for (name, value) in [
        ("exp", json!(NOW - 59)),
        ("exp", json!(NOW as f64 - 59.5)),
        ("nbf", json!(NOW + 60)),
        ("iat", json!(NOW + 60)),
        ("nbf", json!(0)),
        ("iat", json!(NOW as f64 - 0.25)),
        // A time far in the future does not overflow.
        ("exp", json!(1e19)),
    ] {
        let token = keys
            .rsa
            .token(&rs256(), &with(&claims(), name, value.clone()));
        assert!(verifier.verify(&token).await.is_ok(), "{name} {value}");
    }
    // One token over its whole lifetime.
    let payload = with(&claims(), "nbf", json!(NOW + 100));
    let token = keys.rsa.token(&rs256(), &payload);
    assert_eq!(verifier.verify(&token).await, Err(AccessError::NotYet));
    stage.advance(39);
    assert_eq!(verifier.verify(&token).await, Err(AccessError::NotYet));
    stage.advance(1);
    assert_eq!(verifier.verify(&token).await, Ok(ann(&[])));
    stage.advance(319);
    assert_eq!(verifier.verify(&token).await, Ok(ann(&[])));
    stage.advance(1);
    assert_eq!(verifier.verify(&token).await, Err(AccessError::Expired));
}

#[tokio::test]
async fn claims_become_a_caller() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    let both = ["read:light.*", "call:light.turn_on"];
    let tenant = |name: &str| Caller {
        tenant: Some(HomeName::new(name).unwrap()),
        ..ann(&[])
    };
    for (name, value, caller) in [
        ("aud", json!(["another", AUDIENCE]), ann(&[])),
        ("aud", json!([5, AUDIENCE]), ann(&[])),
        ("permissions", json!(both), ann(&both)),
        (
            "permissions",
            json!("read:light.*  call:light.turn_on"),
            ann(&both),
        ),
        (
            "permissions",
            json!("read:light.*\n\tcall:light.turn_on\n"),
            ann(&both),
        ),
        (
            "scope",
            json!("openid read:light.* email call:light.turn_on"),
            ann(&both),
        ),
        ("scope", json!(both), ann(&both)),
        // An invalid permission is ignored.
        (
            "permissions",
            json!([5, null, ["admin"], "Admin", "admin ", "read:x y"]),
            ann(&[]),
        ),
        (
            "permissions",
            json!("Admin ADMIN write:light.a admin:x"),
            ann(&[]),
        ),
        ("permissions", json!({"admin": true}), ann(&[])),
        ("permissions", json!(true), ann(&[])),
        ("permissions", json!(["read light.a"]), ann(&[])),
        ("permissions", json!(["admin"]), ann(&["admin"])),
        ("tenant", json!("home-1.b_c"), tenant("home-1.b_c")),
        ("tenant", json!("a".repeat(64)), tenant(&"a".repeat(64))),
        (
            "plan",
            json!("gold"),
            Caller {
                plan: Some("gold".into()),
                ..ann(&[])
            },
        ),
        ("plan", json!(5), ann(&[])),
        (
            "sub",
            json!("a".repeat(255)),
            Caller {
                subject: "a".repeat(255),
                ..ann(&[])
            },
        ),
        (
            "exp",
            json!(NOW as f64 + 0.5),
            Caller {
                expires_at: Duration::from_millis(NOW * 1_000 + 500),
                ..ann(&[])
            },
        ),
    ] {
        let token = keys
            .rsa
            .token(&rs256(), &with(&claims(), name, value.clone()));
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Ok(caller), "{name} {value}");
    }
    let payload = with(&claims(), "permissions", json!(["read"]));
    let payload = with(&payload, "scope", json!("health:read"));
    let token = keys.rsa.token(&rs256(), &payload);
    let found = verifiers.verify(Source::KeySet, &token);
    assert_eq!(found.await, Ok(ann(&["read", "health:read"])));
}

#[tokio::test]
async fn token_issued_in_the_future_is_accepted() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    for iat in [json!(NOW + 300), json!(NOW + 86_400), json!(1e19)] {
        let payload = with(&claims(), "iat", iat.clone());
        let token = keys.rsa.token(&rs256(), &payload);
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Ok(ann(&[])), "{iat}");
        // Only `nbf` sets the start, independent of `iat`.
        let token = keys
            .rsa
            .token(&rs256(), &with(&payload, "nbf", json!(NOW + 61)));
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Err(AccessError::NotYet), "{iat}");
    }
}

#[tokio::test]
async fn all_permissions_of_a_token_are_read() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    let verify = async |permissions: &[&str], scope: &str| {
        let payload = with(&claims(), "permissions", json!(permissions));
        let payload = with(&payload, "scope", json!(scope));
        let token = keys.rsa.token(&rs256(), &payload);
        assert!(token.len() <= MAX_TOKEN_BYTES, "{}", token.len());
        verifiers.verify(Source::KeySet, &token).await
    };
    let mut many = vec!["read:light.a"; 300];
    many.push("read");
    let mut all = many.clone();
    all.push("admin");
    assert_eq!(verify(&many, "admin").await, Ok(ann(&all)));
    let many = ["read:light.a"; 256];
    let all = [&many[..], &["read"]].concat();
    assert_eq!(verify(&many, "read").await, Ok(ann(&all)));
}

#[tokio::test]
async fn claims_are_read_by_their_configured_names() {
    let keys = Keys::new();
    let stage = Stage::new(Place::holding(&keys.set()));
    let config = VerifierConfig {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        tenant_claim: "https://x.example/home".into(),
        permissions_claim: "cognito:groups".into(),
        plan_claim: "tier".into(),
    };
    let verifier = Verifier::new(config, stage.key_set(), stage.clock.clone());
    let ours = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 300,
        "https://x.example/home": "mine", "cognito:groups": ["read"], "tier": "gold",
        // These are the default names, which are not read here.
        "tenant": "another", "permissions": ["admin"], "plan": "free",
    });
    let found = verifier.verify(&keys.rsa.token(&rs256(), &ours)).await;
    let expected = Caller {
        tenant: HomeName::new("mine"),
        plan: Some("gold".into()),
        ..ann(&["read"])
    };
    assert_eq!(found, Ok(expected));
}
