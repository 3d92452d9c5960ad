//! A rotation does not revoke tokens of another latchkey or tokens that people have created.
use testkit::PARAMETER;

use super::operator::{Ended, Run, run};
use super::{Stage, issuer, state};

const ELSEWHERE: &str = "/another/latchkey/token";

/// Rotates the token of the other latchkey.
async fn rotate_elsewhere(stage: &Stage) -> Ended {
    let variables = [("HA_TOKEN_PARAMETER", ELSEWHERE)];
    Run::start(stage, &["rotate"], &variables).end().await
}

#[tokio::test]
async fn rotation_keeps_tokens_of_others() {
    let stage = Stage::start().await;
    // A person has replaced this token by hand and may still use it elsewhere.
    let replaced = stage.home.token().to_owned();
    let first = stage.home.mint_token("by hand").await.unwrap();
    stage.aws.put_token(PARAMETER, &first).await.unwrap();
    let mut others = vec![replaced];
    for name in [
        "my phone",
        "latchkey, made by hand",
        "latchkey 00000000 1700000000 00000000",
    ] {
        others.push(stage.home.mint_token(name).await.unwrap());
    }
    // Another latchkey of the same owner has minted its token.
    let theirs = stage.home.mint_token("another's").await.unwrap();
    stage.aws.put_token(ELSEWHERE, &theirs).await.unwrap();
    let ended = rotate_elsewhere(&stage).await;
    assert_eq!(state(&ended.answer), "rotated", "{}", ended.printed);
    let theirs = stage.aws.history(ELSEWHERE).await.unwrap()[1].value.clone();
    let known = stage.tokens().await;
    let minted = known.iter().find(|token| token.id == issuer(&theirs));
    // The other latchkey has also minted a token that is not stored yet.
    let orphan = format!("{} and another", minted.unwrap().client_name);
    let orphan = stage.home.mint_token(&orphan).await.unwrap();
    others.extend([theirs, orphan.clone()]);

    let ended = run(&stage, &["rotate"]).await;
    assert_eq!(state(&ended.answer), "rotated", "{}", ended.printed);
    let second = stage.stored().await;
    assert!(stage.home.accepts(&second).await.unwrap());
    assert!(!stage.home.accepts(&first).await.unwrap());
    for other in &others {
        assert!(stage.home.accepts(other).await.unwrap());
    }
    assert_eq!(stage.tokens().await.len(), others.len() + 1);

    // The other latchkey revokes only its own tokens.
    let ended = rotate_elsewhere(&stage).await;
    assert_eq!(state(&ended.answer), "rotated", "{}", ended.printed);
    assert!(!stage.home.accepts(&orphan).await.unwrap());
    assert!(stage.home.accepts(&second).await.unwrap());
    // The other latchkey has revoked its orphan and its old token, and minted one token.
    assert_eq!(stage.tokens().await.len(), others.len());
    assert_eq!(stage.home.failed_logins().await.unwrap(), 0);
    stage.stop().await;
}
