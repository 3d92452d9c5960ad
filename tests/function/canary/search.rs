//! Tests of the search for tokens.

use testkit::canary::{Canary, Captured};

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiIwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIs\
    ImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoyMDE1MzYwMDAwfQ.Zx81kPq3VbN7mTfYw0Lr6QhJ2sUoDe9iAcXg5yBvKtE";

#[test]
fn search_finds_a_planted_leak() {
    let canary = Canary::new(TOKEN);
    let end = TOKEN.len();
    for leak in [
        TOKEN.to_owned(),
        format!("Authorization: Bearer {TOKEN}\r\n"),
        format!("{{\"access_token\":\"{TOKEN}\"}}"),
        format!("…{}…", &TOKEN[end - 12..]),
        format!("…{}…", &TOKEN[40..52]),
        // This range contains the end of the public header and the start of the secret part.
        format!("…{}…", &TOKEN[30..42]),
        format!("{:?}", TOKEN.as_bytes()),
        format!("Bytes {:?}.", &TOKEN.as_bytes()[end - 12..]),
        format!("{:#?}", &TOKEN.as_bytes()[50..70]),
    ] {
        assert!(canary.leak(&leak).is_some(), "{leak}");
    }
    for harmless in [
        "",
        "an ordinary line",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        &format!("…{}…", &TOKEN[end - 11..]),
        &format!("{:?}", &TOKEN.as_bytes()[end - 11..]),
    ] {
        assert_eq!(canary.leak(harmless), None, "{harmless}");
    }
}

#[test]
#[should_panic(expected = "the log contains a part of the token")]
fn search_finds_a_leak_in_the_log() {
    let (captured, _guard) = Captured::start();
    tracing::trace!(target: "latchkey::home::token", token = TOKEN, "fetched");
    Canary::new(TOKEN).search("the log", &captured.text());
}
