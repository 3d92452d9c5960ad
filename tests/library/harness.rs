//! Tests of the test kit's defaults. All other tests rely on these defaults.

use latchkey_dev::home::HomeOptions;
use testkit::{COMMAND, PARAMETER, RelayedHome, Stage, TestBridge, problem};

#[tokio::test]
async fn stage_stores_the_token_in_the_parameter_that_the_function_reads() {
    let stage = Stage::builder().start().await;
    let sandbox = stage.sandbox().local().start().await;
    sandbox.command().await;
    assert_eq!(stage.reads().await, 1);
    assert_eq!(stage.home.counters().presented(&stage.token), 2);
}

#[tokio::test]
async fn stage_stores_a_given_text_instead_of_a_token() {
    let stage = Stage::builder().token("not a token").start().await;
    let stored = stage.aws.history(PARAMETER).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].value, "not a token");
    assert!(stage.home.tokens().is_empty());
}

#[tokio::test]
async fn later_variable_replaces_an_earlier_one() {
    let stage = Stage::builder().start().await;
    let sandbox = stage.sandbox().local().env("CALLER_AUTH", "jwt");
    let sandbox = sandbox.env("HA_URL", "http://127.0.0.1:9");
    let answer = sandbox.start().await.handle(COMMAND).await;
    assert_eq!(problem(&answer), "home-unreachable", "{answer}");
}

#[tokio::test]
async fn relayed_home_is_reached_through_its_relay_and_keeps_its_port_after_a_restart() {
    let mut relayed = RelayedHome::start(HomeOptions::default()).await;
    let url = relayed.url();
    let latchkey = TestBridge::new(&url, &relayed.token);
    let warmth = latchkey.bridge.keep_warm(latchkey.deadline()).await;
    assert_eq!(warmth.valid, Some(true));
    assert!(relayed.relay.counters().connections > 0);
    let address = relayed.home.address();
    relayed.home.kill().await;
    relayed.home.restart().await.unwrap();
    assert_eq!(relayed.home.address(), address);
    assert_eq!(relayed.port.address, address);
}
