//! Attacks with the header.

use super::*;
use crate::service::access::testing::{RSA_PEM, b64};

pub(super) fn attacks(keys: &Keys) -> Vec<Attack> {
    [
        no_algorithm(keys),
        confusion(keys),
        key_ids(keys),
        embedded_keys(keys),
        extensions(keys),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn no_algorithm(keys: &Keys) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let payload = claims().to_string();
    for named in [
        "none", "None", "NONE", "nOnE", "", " none", "none\0", "NoNe ",
    ] {
        for source in [Source::KeySet, Source::Secret] {
            let header = json!({"alg": named, "kid": "rsa"}).to_string();
            let unsigned = format!("{}.{}.", b64(&header), b64(&payload));
            let signed = keys.rsa.token_of(&header, &payload);
            for (how, token) in [("unsigned", unsigned), ("signed", signed)] {
                let name = format!("alg {named:?}, {how}, {source:?}");
                let attack = attack(name, token, AccessError::Algorithm);
                attacks.push(Attack { source, ..attack });
            }
        }
    }
    for alg in [
        json!(null),
        json!(256),
        json!(["RS256"]),
        json!({"RS256": 1}),
        json!(true),
    ] {
        let header = with(&rs256(), "alg", alg.clone());
        let token = keys.rsa.token(&header, &claims());
        attacks.push(attack(format!("alg {alg}"), token, NO_ALG));
    }
    let header = json!({"kid": "rsa"});
    let token = keys.rsa.token(&header, &claims());
    attacks.push(attack("no alg at all", token, NO_ALG));
    // Algorithms that are not accepted, and other spellings, some with look-alike letters.
    for named in [
        "rs256",
        "RS256 ",
        "RS-256",
        "RS1",
        "RS2048",
        "SHA256",
        "ES256K",
        "ES512",
        "HS384",
        "HS512",
        "RSA-OAEP",
        "dir",
        "A128KW",
        "Ed25519",
        "R\u{405}256",
        "\u{ff32}\u{ff33}256",
        "RS\u{662}56",
        "RS256\u{200b}",
    ] {
        let token = keys
            .rsa
            .token(&json!({"alg": named, "kid": "rsa"}), &claims());
        attacks.push(attack(
            format!("alg {named:?}"),
            token,
            AccessError::Algorithm,
        ));
    }
    let long = json!({"alg": "R".repeat(300), "kid": "rsa"});
    attacks.push(attack(
        "a long alg",
        keys.rsa.token(&long, &claims()),
        NO_ALG,
    ));
    attacks
}

/// Returns attacks that use a public key as a secret, or a secret as a public key.
fn confusion(keys: &Keys) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let jwk = keys.rsa.jwk("rsa");
    let n = jwk["n"].as_str().unwrap();
    for (what, bytes) in [
        ("its PEM", RSA_PEM.as_bytes().to_vec()),
        ("its PEM, trimmed", RSA_PEM.trim().as_bytes().to_vec()),
        ("its DER", keys.rsa.der()),
        ("its JWK", jwk.to_string().into_bytes()),
        ("its modulus", n.as_bytes().to_vec()),
        ("its modulus's bytes", URL_SAFE_NO_PAD.decode(n).unwrap()),
        ("the whole key set", keys.set()),
        ("nothing", Vec::new()),
        ("the secret in the key set", SECRET.to_vec()),
    ] {
        let forger = TestKey::secret(&bytes);
        for id in ["rsa", "oct", "for-hs256"] {
            let token = forger.token(&json!({"alg": "HS256", "kid": id}), &claims());
            let name = format!("HS256 with {what} as the secret, kid {id}");
            attacks.push(attack(name, token, AccessError::Algorithm));
        }
        let token = forger.token(&rs256(), &claims());
        let name = format!("RS256 in the header, HMAC signature with {what}");
        attacks.push(attack(name, token, AccessError::Signature));
    }
    for (alg, key) in [
        ("RS256", &keys.rsa),
        ("PS256", &keys.rsa),
        ("ES256", &keys.p256),
        ("EdDSA", &keys.ed25519),
    ] {
        let token = key.token(&json!({ "alg": alg }), &claims());
        let name = format!("{alg} for a verifier with a secret");
        attacks.push(attack(name, token, AccessError::Algorithm).on_secret());
    }
    for alg in ["RS256", "HS384", "HS512"] {
        let token = keys.secret.token(&json!({ "alg": alg }), &claims());
        let name = format!("{alg} in the header, HMAC signature with the secret");
        attacks.push(attack(name, token, AccessError::Algorithm).on_secret());
    }
    for (id, alg) in [
        // A key of one kind for an algorithm of another.
        ("p256", "RS256"),
        ("ed25519", "RS256"),
        ("rsa", "ES256"),
        ("rsa", "EdDSA"),
        ("ed25519", "ES256"),
        ("p256", "EdDSA"),
        ("p384", "ES256"),
        ("p256", "ES384"),
        // A key whose entry in the set excludes this use.
        ("oct", "RS256"),
        ("for-encryption", "RS256"),
        ("for-wrapping", "RS256"),
        ("for-rs512", "RS256"),
        ("for-oaep", "RS256"),
        ("for-hs256", "RS256"),
        ("for-what", "RS256"),
    ] {
        let key = match id {
            "p256" => &keys.p256,
            "p384" => &keys.p384,
            "ed25519" => &keys.ed25519,
            _ => &keys.rsa,
        };
        let token = key.token(&json!({"alg": alg, "kid": id}), &claims());
        let name = format!("{alg} with the key {id}");
        attacks.push(attack(name, token, AccessError::UnknownKey));
    }
    attacks
}

fn key_ids(keys: &Keys) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let long = "k".repeat(254);
    for id in [
        "",
        "unknown",
        "RSA",
        "rsa ",
        "rsa\0",
        "rsa\n",
        "rs\u{430}",
        "r\u{17f}a",
        "../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///dev/null",
        "https://attacker.example/jwks.json",
        "' OR '1'='1",
        "x' UNION SELECT 'AAAA' --",
        "*",
        "$(id)",
        "|id",
        "{{7*7}}",
        long.as_str(),
    ] {
        // The signing keys are an empty secret, as such an id could be resolved to, an attacker's key and the issuer's.
        let header = json!({"alg": "RS256", "kid": id});
        for (whose, key) in [
            ("nobody's", &TestKey::secret(b"")),
            ("the attacker's", &keys.attackers),
            ("the issuer's", &keys.rsa),
        ] {
            let token = key.token(&header, &claims());
            let name = format!("kid {id:?} and {whose} signature");
            attacks.push(attack(name, token, AccessError::UnknownKey));
        }
    }
    for id in [
        json!(1),
        json!(null),
        json!(true),
        json!(["rsa"]),
        json!({"rsa": "rsa"}),
        json!("k".repeat(255)),
        json!("k".repeat(5_000)),
    ] {
        let shown: String = id.to_string().chars().take(20).collect();
        let token = keys
            .rsa
            .token(&with(&rs256(), "kid", id.clone()), &claims());
        let name = format!("kid {shown}, {} bytes", id.to_string().len());
        attacks.push(attack(name, token, BAD_KID));
    }
    let header = json!({"alg": "RS256"});
    let token = keys.rsa.token(&header, &claims());
    attacks.push(attack(
        "no kid, several matching keys",
        token,
        AccessError::UnknownKey,
    ));
    attacks
}

/// Returns attacks with a key, or the URL of a key, in the token itself.
fn embedded_keys(keys: &Keys) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let certificate =
        json!([base64::engine::general_purpose::STANDARD.encode(keys.attackers.der())]);
    for (name, member) in [
        ("jwk", keys.attackers.jwk("rsa")),
        ("jwk", json!({"kty": "oct", "k": b64(SECRET)})),
        ("x5c", certificate),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("jku", json!("https://issuer.example@attacker.example/")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5u", json!("http://169.254.169.254/latest/meta-data/")),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("epk", keys.attackers.jwk("rsa")),
        ("iss", json!("https://attacker.example")),
    ] {
        for (id, refused) in [
            (Some("rsa"), AccessError::Signature),
            (Some("attackers"), AccessError::UnknownKey),
            (None, AccessError::UnknownKey),
        ] {
            let header = with(&rs256(), name, member.clone());
            let header = with(&header, "kid", id.map(Value::from));
            let token = keys.attackers.token(&header, &claims());
            let shown: String = member.to_string().chars().take(40).collect();
            let name = format!("{name} {shown} with kid {id:?}");
            attacks.push(attack(name, token, refused));
        }
    }
    attacks
}

fn extensions(keys: &Keys) -> Vec<Attack> {
    [
        ("crit", json!(["b64"])),
        ("crit", json!(["exp"])),
        ("crit", json!(["alg", "kid"])),
        ("crit", json!(["https://example.com/unknown"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("b64", json!(true)),
    ]
    .into_iter()
    .map(|(name, member)| {
        let header = with(&rs256(), name, member.clone());
        let token = keys.rsa.token(&header, &claims());
        attack(format!("{name} {member}"), token, EXTENSIONS)
    })
    .chain([{
        // RFC 7797: the payload is not encoded.
        let header = json!({"alg": "RS256", "kid": "rsa", "b64": false, "crit": ["b64"]});
        let message = format!("{}.{{\"sub\":\"ann\"}}", b64(header.to_string()));
        let signature = b64(keys.rsa.sign("RS256", message.as_bytes()));
        attack(
            "an unencoded payload",
            format!("{message}.{signature}"),
            BASE64,
        )
    }])
    .collect()
}
