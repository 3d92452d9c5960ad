//! Sandboxes that serve while the token is rotated: before the old token may be revoked, none of them uses it any
//! more, not even on a connection that was opened with it. A command that is under way when it is revoked would be
//! lost.

use std::time::Duration;

use latchkey_dev::stack::RealHome;
use serde_json::Value;
use testkit::Sandbox;

use super::{RotationStage, state};

/// With which token a sandbox's connection was opened.
async fn in_use(stage: &RotationStage, sandbox: &Sandbox) -> String {
    let payload = r#"{"command":{"type":"auth/refresh_tokens"}}"#;
    let answer = stage.handle(sandbox, payload).await;
    let tokens = answer["results"][0]["result"].as_array();
    let tokens = tokens.unwrap_or_else(|| panic!("{answer}"));
    let current = tokens.iter().find(|token| token["is_current"] == true);
    current.unwrap()["id"].as_str().unwrap().to_owned()
}

/// A sandbox with a connection of the old token's, and a rotation by another one that has stored the new token.
async fn draining(ttl: &str) -> (RotationStage, Sandbox) {
    let stage = RotationStage::set().await;
    let mut variables = stage.variables();
    variables.insert("TOKEN_TTL_SECONDS".into(), ttl.into());
    let sandbox = stage.sandbox_with(&variables).await;
    let old = RealHome::issuer_of(&stage.stored().await).unwrap();
    assert_eq!(in_use(&stage, &sandbox).await, old);
    let begun: Value = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    assert_eq!(in_use(&stage, &sandbox).await, old);
    (stage, sandbox)
}

async fn assert_changed_over(stage: &RotationStage, sandbox: &Sandbox) {
    let new = RealHome::issuer_of(&stage.stored().await).unwrap();
    assert_eq!(in_use(stage, sandbox).await, new);
    let counters = stage.home.counters();
    assert_eq!((counters.failed_logins, counters.auth_invalid), (0, 0));
}

/// A sandbox that is busy changes over after an answer.
async fn busy(ttl: &str, passed: Duration) {
    let (stage, sandbox) = draining(ttl).await;
    stage.clock.advance(passed);
    // The answer to this one was due; what comes after it has 5 s.
    in_use(&stage, &sandbox).await;
    sandbox.after_answer_within(Duration::from_secs(5)).await;
    assert_changed_over(&stage, &sandbox).await;
}

#[tokio::test]
async fn a_busy_sandbox_changes_over_between_two_commands() {
    busy("300", Duration::from_secs(300)).await;
}

#[tokio::test]
async fn a_busy_sandbox_that_keeps_no_token_changes_over_as_well() {
    busy("0", Duration::from_secs(1)).await;
}

/// A sandbox that served nobody while the old token was drained does not go on with it.
async fn idle(ttl: &str, drain: Duration) {
    let (stage, sandbox) = draining(ttl).await;
    stage.clock.advance(drain);
    assert_changed_over(&stage, &sandbox).await;
}

#[tokio::test]
async fn an_idle_sandbox_changes_over_with_its_next_command() {
    // Twice the TTL and three limits of 700 ms.
    idle("300", Duration::from_millis(602_100)).await;
}

#[tokio::test]
async fn an_idle_sandbox_changes_over_also_if_its_connection_is_still_fresh() {
    idle("4", Duration::from_millis(10_100)).await;
}
