//! Signatures of another key or of other content.

use super::*;
use crate::service::access::testing::b64;

/// The order of the curve P-256.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

pub(super) fn attacks(keys: &Keys) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut add = |name: &str, token: String, refused: AccessError| {
        attacks.push(attack(name, token, refused));
    };
    for (alg, id, key) in [
        ("RS256", "rsa", &keys.rsa),
        ("PS256", "rsa", &keys.rsa),
        ("ES256", "p256", &keys.p256),
        ("ES384", "p384", &keys.p384),
        ("EdDSA", "ed25519", &keys.ed25519),
    ] {
        let header = json!({"alg": alg, "kid": id});
        for (name, token) in spoilt(key, &header) {
            add(&format!("{alg}, {name}"), token, AccessError::Signature);
        }
    }
    // A signature of one algorithm with the name of another.
    for (made, called) in [
        ("RS256", "RS384"),
        ("RS256", "RS512"),
        ("RS256", "PS256"),
        ("PS256", "RS256"),
        ("PS256", "PS384"),
    ] {
        let header = json!({"alg": called, "kid": "rsa"});
        let token = resigned(&header, |message| keys.rsa.sign(made, message));
        add(
            &format!("{made} signature, {called} in the header"),
            token,
            AccessError::Signature,
        );
    }
    add(
        "an RSA key with 1024 bits",
        SMALL_TOKEN.into(),
        AccessError::Signature,
    );
    let es256 = json!({"alg": "ES256", "kid": "p256"});
    let der = resigned(&es256, |message| keys.p256.sign("DER", message));
    add("ES256 as DER", der, AccessError::Signature);
    let mut one = [0; 32];
    one[31] = 1;
    for (name, r, s) in [
        ("r = s = 0", [0; 32], [0; 32]),
        ("r = 0", [0; 32], one),
        ("s = 0", one, [0; 32]),
        ("r = s = 1", one, one),
        ("r = s = n", P256_ORDER, P256_ORDER),
        ("r = n, s = 1", P256_ORDER, one),
        ("r and s above n", [0xff; 32], [0xff; 32]),
    ] {
        let token = resigned(&es256, |_| [r, s].concat());
        add(&format!("ES256 with {name}"), token, AccessError::Signature);
    }
    let zeroes = resigned(&json!({"alg": "ES384", "kid": "p384"}), |_| vec![0; 96]);
    add("ES384 with r = s = 0", zeroes, AccessError::Signature);
    // The neutral element: some libraries accept it as a signature of any message.
    let mut neutral = [0; 64];
    neutral[0] = 1;
    let token = resigned(&json!({"alg": "EdDSA", "kid": "ed25519"}), |_| {
        neutral.to_vec()
    });
    add(
        "EdDSA with the neutral element",
        token,
        AccessError::Signature,
    );
    let mut one = [0; 256];
    one[255] = 1;
    let token = resigned(&rs256(), |_| one.to_vec());
    add("RS256 with a signature of 1", token, AccessError::Signature);
    for (name, token) in spoilt(&keys.secret, &json!({"alg": "HS256"})) {
        attacks.push(attack(format!("HS256, {name}"), token, AccessError::Signature).on_secret());
    }
    for (name, secret) in [
        ("an empty secret", &b""[..]),
        (
            "the secret and a newline",
            b"0123456789abcdef0123456789abcdef\n",
        ),
        ("another secret", b"fedcba9876543210fedcba9876543210"),
    ] {
        let token = TestKey::secret(secret).token(&json!({"alg": "HS256"}), &claims());
        attacks.push(attack(format!("HS256, {name}"), token, AccessError::Signature).on_secret());
    }
    attacks
}

/// Returns a token with valid content and the signature that `sign` returns.
fn resigned(header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
    format!("{message}.{}", b64(sign(message.as_bytes())))
}

/// Returns manipulations of a token that work with any algorithm.
fn spoilt(key: &TestKey, header: &Value) -> Vec<(&'static str, String)> {
    let good = key.token(header, &claims());
    let [first, second, signature] = parts(&good);
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signed = |bytes: &[u8]| format!("{first}.{second}.{}", b64(bytes));
    let admin = with(&claims(), "permissions", json!(["admin"]));
    let other = key.token(header, &with(&claims(), "sub", json!("bob")));
    let other_header = with(header, "typ", json!("JWT")).to_string();
    let mut flipped = bytes.clone();
    flipped[0] ^= 1;
    let mut last_flipped = bytes.clone();
    last_flipped[bytes.len() - 1] ^= 1;
    let name = header["alg"].as_str().unwrap();
    let payload_only = key.sign(name, second.as_bytes());
    vec![
        ("no signature", format!("{first}.{second}.")),
        ("one byte short", signed(&bytes[..bytes.len() - 1])),
        ("half a signature", signed(&bytes[..bytes.len() / 2])),
        ("one byte more", signed(&[&bytes[..], &[0]].concat())),
        ("a leading zero", signed(&[&[0], &bytes[..]].concat())),
        (
            "twice the signature",
            signed(&[&bytes[..], &bytes].concat()),
        ),
        ("first bit flipped", signed(&flipped)),
        ("last bit flipped", signed(&last_flipped)),
        ("only zero bits", signed(&vec![0; bytes.len()])),
        ("only one bits", signed(&vec![0xff; bytes.len()])),
        (
            "another token's signature",
            format!("{first}.{second}.{}", parts(&other)[2]),
        ),
        (
            "another payload",
            format!("{first}.{}.{signature}", b64(admin.to_string())),
        ),
        (
            "another header",
            format!("{}.{second}.{signature}", b64(other_header)),
        ),
        ("a signature of the payload alone", signed(&payload_only)),
        ("padding after the signature", format!("{good}=")),
        ("a space after the signature", format!("{good} ")),
        ("a newline after the signature", format!("{good}\n")),
        ("a NUL after the signature", format!("{good}\0")),
        (
            "a signature that is not base64url",
            format!("{first}.{second}.+/+/"),
        ),
    ]
}

/// Without this check, the attack with the small key could be rejected for a wrong signature.
#[test]
fn token_of_the_small_key_has_a_valid_signature() {
    let [header, payload, signature] = parts(SMALL_TOKEN);
    let jwk: Value = serde_json::from_str(SMALL_JWK).unwrap();
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = ring::signature::RsaPublicKeyComponents {
        n: part(jwk["n"].as_str().unwrap()),
        e: part(jwk["e"].as_str().unwrap()),
    };
    key.verify(
        &ring::signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        format!("{header}.{payload}").as_bytes(),
        &part(signature),
    )
    .unwrap();
}

/// If a signature ends within a base64 character, the unused bits of that character must be zero. So each token has
/// only one text.
#[tokio::test]
async fn signature_with_unused_bits_set_is_rejected() {
    let keys = Keys::new();
    let verifiers = Verifiers::new(&keys);
    let good = keys.good();
    // A signature of 256 bytes ends after two bits of the last character.
    let last = good.chars().last().unwrap();
    assert!("AQgw".contains(last), "{last}");
    let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in others.chars().filter(|other| *other != last) {
        let token = format!("{}{other}", &good[..good.len() - 1]);
        let found = verifiers.verify(Source::KeySet, &token).await;
        assert_eq!(found, Err(AccessError::Signature), "{other}");
    }
}
