//! Invalid claims in tokens with a valid signature.

use super::*;

pub(super) fn attacks(keys: &Keys) -> Vec<Attack> {
    let signed = |payload: &Value| keys.rsa.token(&rs256(), payload);
    let mut attacks = Vec::new();
    let mut claim = |name: &'static str, values: Vec<Value>, refused: AccessError| {
        for value in values {
            let shown: String = value.to_string().chars().take(60).collect();
            let token = signed(&with(&claims(), name, value));
            attacks.push(attack(format!("{name} {shown}"), token, refused.clone()));
        }
    };
    let deep = |levels: usize| -> Value { (0..levels).fold(json!([]), |inner, _| json!([inner])) };
    claim(
        "exp",
        vec![
            json!(NOW - 60),
            json!(NOW - 61),
            json!(NOW as f64 - 60.0),
            json!(0),
            json!(1),
            json!(-0.0),
        ],
        AccessError::Expired,
    );
    claim(
        "exp",
        vec![
            json!("1800000300"),
            json!("never"),
            json!(""),
            json!(null),
            json!(true),
            json!([NOW + 300]),
            json!({"$gt": 0}),
            json!(-1),
            json!(-1e300),
            json!(1e300),
            json!(1e20),
            json!(u64::MAX as f64 * 2.0),
            deep(100),
        ],
        AccessError::Claim("exp"),
    );
    claim(
        "nbf",
        vec![json!(NOW + 61), json!(NOW as f64 + 60.5), json!(1e19)],
        AccessError::NotYet,
    );
    for name in ["nbf", "iat"] {
        claim(
            name,
            vec![
                json!("1800000000"),
                json!(null),
                json!(false),
                json!([]),
                json!(-1),
                json!(1e300),
            ],
            AccessError::Claim(name),
        );
    }
    claim(
        "iss",
        vec![
            json!(""),
            json!("https://attacker.example"),
            json!("https://issuer.example/"),
            json!("https://issuer.exampl"),
            json!("https://issuer.example\0"),
            json!(" https://issuer.example"),
            json!("HTTPS://ISSUER.EXAMPLE"),
            json!("https://\u{456}ssuer.example"),
            json!([ISSUER]),
            json!({ "iss": ISSUER }),
            json!(null),
            json!(1),
        ],
        AccessError::Claim("iss"),
    );
    claim(
        "aud",
        vec![
            json!(""),
            json!("another"),
            json!("latchkey "),
            json!("latchkey another"),
            json!("latchkey,another"),
            json!("latch"),
            json!("latchkeys"),
            json!("LATCHKEY"),
            json!("latch\u{43a}ey"),
            json!([]),
            json!([""]),
            json!(["another", "latchkeys"]),
            json!([[AUDIENCE]]),
            json!({ AUDIENCE: true }),
            json!(null),
            json!(true),
            json!("*"),
        ],
        AccessError::Claim("aud"),
    );
    claim(
        "sub",
        vec![
            json!(""),
            json!(null),
            json!(5),
            json!(["ann"]),
            json!({"sub": "ann"}),
            json!("a".repeat(256)),
            json!("\u{e9}".repeat(128)),
            deep(100),
        ],
        AccessError::Claim("sub"),
    );
    claim(
        "tenant",
        vec![
            json!(""),
            json!("a/b"),
            json!("a b"),
            json!("a*"),
            json!("a\0"),
            json!("\u{e4}"),
            json!("a".repeat(65)),
            json!("eyJhbGciOi"),
            json!(null),
            json!(5),
            json!(["a"]),
        ],
        AccessError::Claim("tenant"),
    );
    for (name, refused) in [
        ("exp", AccessError::Claim("exp")),
        ("iss", AccessError::Claim("iss")),
        ("aud", AccessError::Claim("aud")),
        ("sub", AccessError::Claim("sub")),
    ] {
        let token = signed(&with(&claims(), name, None));
        attacks.push(attack(format!("no {name}"), token, refused));
    }
    // A name with look-alike letters is another name.
    let payload = with(&with(&claims(), "sub", None), "\u{455}ub", json!("ann"));
    attacks.push(attack(
        "sub in other letters",
        signed(&payload),
        AccessError::Claim("sub"),
    ));
    attacks.extend(texts(keys));
    attacks
}

/// Returns attacks with payloads that `serde_json` would not write.
fn texts(keys: &Keys) -> Vec<Attack> {
    let signed = |payload: &str| keys.rsa.token_of(rs256().to_string(), payload);
    let beside = |member: &str| {
        let claims = claims().to_string();
        format!("{},{member}}}", claims.trim_end_matches('}'))
    };
    let instead = |exp: &str| {
        let claims = with(&claims(), "exp", None).to_string();
        format!("{},\"exp\":{exp}}}", claims.trim_end_matches('}'))
    };
    let mut attacks = Vec::new();
    for number in [
        "NaN",
        "Infinity",
        "-Infinity",
        "0x7fffffff",
        "+1800000300",
        "1_8",
        ".5",
        "01",
    ] {
        let token = signed(&instead(number));
        attacks.push(attack(format!("exp {number} as a text"), token, PAYLOAD));
    }
    for number in ["1e400", "-1e400", "99999999999999999999999999"] {
        let token = signed(&instead(number));
        let refused = AccessError::Claim("exp");
        attacks.push(attack(format!("exp {number} as a text"), token, refused));
    }
    for member in [
        r#""sub":"admin""#,
        r#""exp":4000000000"#,
        r#""\u0065xp":4000000000"#,
        r#""iss":"https://issuer.example""#,
        r#""aud":"another""#,
        r#""x":1,"x":2"#,
        r#""permissions":["read"],"permissions":["admin"]"#,
    ] {
        let token = signed(&beside(member));
        attacks.push(attack(format!("a claim twice: {member}"), token, PAYLOAD));
    }
    let (open, close) = ("[".repeat(2_000), "]".repeat(2_000));
    for name in ["exp", "iss", "aud", "sub", "tenant"] {
        let claims = with(&claims(), name, None).to_string();
        let claims = claims.trim_end_matches('}');
        let token = signed(&format!("{claims},\"{name}\":{open}{close}}}"));
        attacks.push(attack(
            format!("{name} nested 2,000 levels deep"),
            token,
            AccessError::Claim(name),
        ));
    }
    attacks.push(attack(
        "a payload nested 4,000 levels deep",
        signed(&"[".repeat(4_000)),
        PAYLOAD,
    ));
    attacks.push(attack(
        "a payload of objects nested 800 levels deep",
        signed(&"{\"a\":".repeat(800)),
        PAYLOAD,
    ));
    attacks
}
