//! Tests of execution environments that serve requests during a rotation. Before the old token is revoked, no
//! execution environment may use the old token, not even on an open connection. A command that is in flight at the
//! revocation would be lost.

use std::time::Duration;

use latchkey_dev::stack::RealHome;
use serde_json::Value;
use testkit::Sandbox;

use super::{RotationStage, state};

/// Returns the identifier of the token that opened the connection of an execution environment.
async fn connection_token(stage: &RotationStage, sandbox: &Sandbox) -> String {
    let payload = r#"{"command":{"type":"auth/refresh_tokens"}}"#;
    let answer = stage.handle(sandbox, payload).await;
    let tokens = answer["results"][0]["result"].as_array();
    let tokens = tokens.unwrap_or_else(|| panic!("{answer}"));
    let current = tokens.iter().find(|token| token["is_current"] == true);
    current.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Starts an execution environment with a connection that the old token opened. A rotation in another environment has
/// stored the new token.
async fn draining_rotation(ttl: &str) -> (RotationStage, Sandbox) {
    let stage = RotationStage::start().await;
    let mut variables = stage.variables();
    variables.insert("TOKEN_TTL_SECONDS".into(), ttl.into());
    let sandbox = stage.sandbox_with(&variables).await;
    let old = RealHome::issuer_of(&stage.stored().await).unwrap();
    assert_eq!(connection_token(&stage, &sandbox).await, old);
    let begun: Value = stage.rotate(&stage.sandbox().await).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    assert_eq!(connection_token(&stage, &sandbox).await, old);
    (stage, sandbox)
}

async fn assert_uses_new_token(stage: &RotationStage, sandbox: &Sandbox) {
    let new = RealHome::issuer_of(&stage.stored().await).unwrap();
    assert_eq!(connection_token(stage, sandbox).await, new);
    let counters = stage.home.counters();
    assert_eq!((counters.failed_logins, counters.auth_invalid), (0, 0));
}

/// Asserts that a busy environment changes to the new token after a response.
async fn assert_busy_environment_changes_over(ttl: &str, passed: Duration) {
    let (stage, sandbox) = draining_rotation(ttl).await;
    stage.clock.advance(passed);
    // The token is due at this request. The refresh after the response has 5 s.
    connection_token(&stage, &sandbox).await;
    sandbox.after_answer_within(Duration::from_secs(5)).await;
    assert_uses_new_token(&stage, &sandbox).await;
}

#[tokio::test]
async fn busy_environment_changes_token_between_two_commands() {
    assert_busy_environment_changes_over("300", Duration::from_secs(300)).await;
}

#[tokio::test]
async fn busy_environment_without_a_token_cache_changes_token() {
    assert_busy_environment_changes_over("0", Duration::from_secs(1)).await;
}

/// Asserts that an environment that was idle during the drain uses the new token afterwards.
async fn assert_idle_environment_changes_over(ttl: &str, drain: Duration) {
    let (stage, sandbox) = draining_rotation(ttl).await;
    stage.clock.advance(drain);
    assert_uses_new_token(&stage, &sandbox).await;
}

#[tokio::test]
async fn idle_environment_changes_token_with_its_next_command() {
    // Twice the TTL plus three timeouts of 700 ms.
    assert_idle_environment_changes_over("300", Duration::from_millis(602_100)).await;
}

#[tokio::test]
async fn idle_environment_with_a_fresh_connection_changes_token() {
    assert_idle_environment_changes_over("4", Duration::from_millis(10_100)).await;
}
