//! What a rotation must leave alone: tokens of another latchkey's, and those that people have made.
use testkit::PARAMETER;

use super::operator::{Ended, Run, run};
use super::{Stage, issuer, state};

const ELSEWHERE: &str = "/another/latchkey/token";

/// A rotation by the other latchkey.
async fn rotate_elsewhere(stage: &Stage) -> Ended {
    let variables = [("HA_TOKEN_PARAMETER", ELSEWHERE)];
    Run::start(stage, &["rotate"], &variables).end().await
}

#[tokio::test]
async fn tokens_of_others_stay() {
    let stage = Stage::set().await;
    // Made by hand, stored, and replaced by hand: whoever did that may have another use for it.
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
    // Another latchkey of the same owner's, with a token that it has minted.
    let theirs = stage.home.mint_token("another's").await.unwrap();
    stage.aws.put_token(ELSEWHERE, &theirs).await.unwrap();
    let ended = rotate_elsewhere(&stage).await;
    assert_eq!(state(&ended.answer), "rotated", "{}", ended.printed);
    let theirs = stage.aws.history(ELSEWHERE).await.unwrap()[1].value.clone();
    let known = stage.tokens().await;
    let minted = known.iter().find(|token| token.id == issuer(&theirs));
    // And one that it has minted and not stored yet.
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

    // The other one sees to its own, and to nothing else.
    let ended = rotate_elsewhere(&stage).await;
    assert_eq!(state(&ended.answer), "rotated", "{}", ended.printed);
    assert!(!stage.home.accepts(&orphan).await.unwrap());
    assert!(stage.home.accepts(&second).await.unwrap());
    // It has revoked its orphan and its old one, and minted one.
    assert_eq!(stage.tokens().await.len(), others.len());
    assert_eq!(stage.home.failed_logins().await.unwrap(), 0);
    stage.stop().await;
}
