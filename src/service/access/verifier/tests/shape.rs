//! Texts that are not JSON Web Tokens, or that are malformed.

use super::*;
use crate::service::access::testing::b64;

pub(super) fn attacks(keys: &Keys) -> Vec<Attack> {
    let good = keys.good();
    let [header, payload, signature] = parts(&good);
    let mut attacks: Vec<Attack> = [
        ("nothing", String::new(), PARTS),
        ("one part", "eyJ".into(), PARTS),
        ("one dot", ".".into(), PARTS),
        ("two parts", format!("{header}.{payload}"), PARTS),
        ("four parts", format!("{good}.{signature}"), PARTS),
        (
            "five parts, as of an encrypted token",
            format!("{good}.x.y"),
            PARTS,
        ),
        ("a trailing dot", format!("{good}."), PARTS),
        ("a leading dot", format!(".{good}"), PARTS),
        ("only dots", ".".repeat(8_000), PARTS),
        ("two tokens", format!("{good},{good}"), PARTS),
        (
            "a JSON serialisation",
            json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
            PARTS,
        ),
        ("empty parts", "..".into(), HEADER),
        ("an empty header", format!(".{payload}.{signature}"), HEADER),
        (
            "an empty payload",
            keys.rsa.token_of(rs256().to_string(), ""),
            PAYLOAD,
        ),
        (
            "a header with padding",
            format!("{header}=.{payload}.{signature}"),
            BASE64,
        ),
        (
            "a header with a newline",
            format!("{header}\n.{payload}.{signature}"),
            BASE64,
        ),
        ("a leading space", format!(" {good}"), BASE64),
        ("a `Bearer ` prefix", format!("Bearer {good}"), BASE64),
        ("in quotation marks", format!("\"{good}\""), BASE64),
        (
            "a payload with padding",
            format!("{header}.{payload}==.{signature}"),
            BASE64,
        ),
        (
            "a space in the payload",
            format!("{header}. {payload}.{signature}"),
            BASE64,
        ),
        (
            "a NUL in the payload",
            format!("{header}.{payload}\0.{signature}"),
            BASE64,
        ),
        (
            "letters beyond ASCII",
            format!("{header}.\u{e9}{payload}.{signature}"),
            BASE64,
        ),
        (
            "percent signs",
            format!("%65{}.{payload}.{signature}", &header[1..]),
            BASE64,
        ),
    ]
    .into_iter()
    .map(|(name, token, refused)| attack(name, token, refused))
    .collect();
    attacks.extend(encodings(keys));
    attacks.extend(contents(keys));
    attacks.extend(sizes(keys));
    attacks
}

/// Returns tokens whose payload is not valid base64url. The signature of each token is valid.
fn encodings(keys: &Keys) -> Vec<Attack> {
    // The text contains characters that differ between the two alphabets.
    let payload = with(&claims(), "name", json!("\u{fb}\u{ff}~~~???>>>\u{3ff}")).to_string();
    let header = b64(rs256().to_string());
    let standard = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&payload);
    assert!(standard.contains(['+', '/']), "{standard}");
    let one_byte_more = with(&claims(), "sub", json!("a".repeat(sub_with_padding())));
    let padded = base64::engine::general_purpose::URL_SAFE.encode(one_byte_more.to_string());
    assert!(padded.ends_with('='), "{padded}");
    let good = b64(claims().to_string());
    let lines: String = good
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\r\n", str::from_utf8(line).unwrap()))
        .collect();
    let mut attacks = Vec::new();
    for (name, payload) in [
        ("the standard base64 alphabet", standard),
        ("base64url with padding", padded),
        ("lines of 64 characters", lines),
        ("hexadecimal digits with a colon", "7b:7d".into()),
        ("base64url with unused bits set", trailing_bits(&good)),
        (
            "base64url of an impossible length",
            format!("{}A", &good[..good.len() / 4 * 4]),
        ),
    ] {
        let message = format!("{header}.{payload}");
        let signature = b64(keys.rsa.sign("RS256", message.as_bytes()));
        let token = format!("{message}.{signature}");
        attacks.push(attack(format!("a payload in {name}"), token, BASE64));
    }
    attacks
}

/// Returns a length of the subject for which the length of the claims is not a multiple of three.
fn sub_with_padding() -> usize {
    let bytes = |length: usize| {
        with(&claims(), "sub", json!("a".repeat(length)))
            .to_string()
            .len()
    };
    (1..4).find(|length| bytes(*length) % 3 != 0).unwrap()
}

/// Returns a text whose last character has unused bits that are not zero.
fn trailing_bits(good: &str) -> String {
    let whole = &good[..good.len() / 4 * 4];
    // `Q` has two bits of a byte and four unused bits, all zero. In `R`, one unused bit is set.
    format!("{whole}IR")
}

fn contents(keys: &Keys) -> Vec<Attack> {
    let header = rs256().to_string();
    let payload = claims().to_string();
    let mut attacks = Vec::new();
    for (name, bytes) in [
        (
            "not UTF-8",
            &b"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xff\"}"[..],
        ),
        (
            "an overlong NUL",
            b"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xc0\x80\"}",
        ),
        (
            "a lone surrogate",
            b"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xed\xa0\x80\"}",
        ),
        ("UTF-16", b"{\0\"\0a\0\xff\0"),
    ] {
        let token = keys.rsa.token_of(bytes, &payload);
        attacks.push(attack(format!("a header with {name}"), token, BASE64));
        let token = keys.rsa.token_of(&header, bytes);
        attacks.push(attack(format!("a payload with {name}"), token, BASE64));
    }
    for text in [
        "null",
        "true",
        "5",
        "\"RS256\"",
        "[]",
        "[{}]",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{,}",
        "\u{feff}{}",
        "{'alg':'RS256'}",
        "{\"alg\":\"RS256\",}",
        "{\"alg\" \"RS256\"}",
        "// x\n{}",
        "\0",
    ] {
        let token = keys.rsa.token_of(text, &payload);
        attacks.push(attack(format!("a header of {text:?}"), token, HEADER));
        let token = keys.rsa.token_of(&header, text);
        attacks.push(attack(format!("a payload of {text:?}"), token, PAYLOAD));
    }
    for members in [
        r#""alg":"none","alg":"RS256","kid":"rsa""#,
        r#""alg":"RS256","alg":"none","kid":"rsa""#,
        r#""alg":"RS256","\u0061lg":"RS256","kid":"rsa""#,
        r#""alg":"RS256","kid":"rsa","kid":"p256""#,
        r#""alg":"RS256","kid":"rsa","x":1,"x":1"#,
    ] {
        let token = keys.rsa.token_of(format!("{{{members}}}"), &payload);
        attacks.push(attack(format!("a header of {members}"), token, HEADER));
    }
    let deep = "[".repeat(3_000);
    let token = keys.rsa.token_of(&deep, &payload);
    attacks.push(attack("a header nested 3,000 levels deep", token, HEADER));
    let (open, close) = ("[".repeat(1_000), "]".repeat(1_000));
    for (member, refused) in [("alg", NO_ALG), ("kid", BAD_KID), ("crit", EXTENSIONS)] {
        let header = with(&rs256(), member, None).to_string();
        let header = format!(
            "{},\"{member}\":{open}{close}}}",
            header.trim_end_matches('}')
        );
        let token = keys.rsa.token_of(header, &payload);
        attacks.push(attack(
            format!("{member} nested 1,000 levels deep"),
            token,
            refused,
        ));
    }
    attacks
}

fn sizes(keys: &Keys) -> Vec<Attack> {
    vec![
        attack(
            "8 KB plus one byte, with a valid signature",
            of_length(keys, 8_193),
            TOO_LARGE,
        ),
        attack("a megabyte of dots", ".".repeat(1 << 20), TOO_LARGE),
        attack("a megabyte of one part", "A".repeat(1 << 20), TOO_LARGE),
        attack(
            "a megabyte of other letters",
            "\u{1f511}".repeat(1 << 18),
            TOO_LARGE,
        ),
    ]
}

/// Returns a valid token of this length.
fn of_length(keys: &Keys, length: usize) -> String {
    (0..4)
        .flat_map(|first| (5_000..6_000).map(move |second| (first, second)))
        .find_map(|(first, second)| {
            let header = with(&rs256(), "x", json!("x".repeat(first))).to_string();
            let payload = with(&claims(), "x", json!("x".repeat(second))).to_string();
            // A signature of 256 bytes has 342 characters.
            let fits = b64(&header).len() + b64(&payload).len() + 344 == length;
            fits.then(|| keys.rsa.token_of(header, payload))
        })
        .unwrap()
}

#[tokio::test]
async fn token_of_8_kb_is_accepted() {
    let keys = Keys::new();
    let token = of_length(&keys, 8_192);
    assert_eq!(token.len(), 8_192);
    let verifiers = Verifiers::new(&keys);
    assert!(verifiers.verify(Source::KeySet, &token).await.is_ok());
}

proptest::proptest! {
    /// The verifier rejects each text and never panics.
    #[test]
    fn arbitrary_text_is_rejected(
        text in "\\PC{0,200}",
        parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,60}", 0..5),
    ) {
        let keys = Keys::new();
        let verifiers = Verifiers::new(&keys);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for token in [text, parts.join(".")] {
            for source in [Source::KeySet, Source::Secret] {
                proptest::prop_assert!(runtime.block_on(verifiers.verify(source, &token)).is_err());
            }
        }
    }
}
