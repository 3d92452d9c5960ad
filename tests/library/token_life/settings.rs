//! Tests of events that report a changed setting. latchkey reads the headers or the CA again before its next
//! connection.

use latchkey_dev::home::HomeOptions;
use testkit::{Authority, COMMAND, parameter_change, problem};

use super::TokenStage;

const SETTING: &str = "/homeautomation/setting";

/// Asserts that a setting is read again after an event, and not before the event.
async fn assert_read_again(
    options: HomeOptions,
    variable: &str,
    wrong: &str,
    right: &str,
    named: &str,
) {
    let stage = TokenStage::with_home(options).await;
    stage.aws.put_token(SETTING, wrong).await.unwrap();
    let url = stage.home.url().replace("127.0.0.1", "localhost");
    let variables = [(variable, SETTING), ("HA_URL", url.as_str())];
    let sandbox = stage.sandbox(&variables).await;
    let refused = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&refused), named, "{refused}");

    stage.aws.put_token(SETTING, right).await.unwrap();
    let reads = stage.reads().await;
    let refused = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&refused), named, "{refused}");
    assert_eq!(
        stage.reads().await,
        reads,
        "the change is not known before the event"
    );

    let told = sandbox.handle(&parameter_change(SETTING)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    assert_eq!(told["session"], "ready", "{told}");
    assert_eq!(stage.reads().await, reads + 1, "only the setting is read");
    sandbox.command().await;
    assert_eq!(stage.reads().await, reads + 1);
}

#[tokio::test]
async fn changed_headers_are_read_again_after_an_event() {
    let options = HomeOptions {
        required_headers: vec![("CF-Access-Client-Secret".to_owned(), "right".to_owned())],
        ..HomeOptions::default()
    };
    assert_read_again(
        options,
        "HA_HEADERS_PARAMETER",
        r#"{"CF-Access-Client-Secret":"wrong"}"#,
        r#"{"CF-Access-Client-Secret":"right"}"#,
        "home-edge-blocked",
    )
    .await;
}

#[tokio::test]
async fn changed_ca_is_read_again_after_an_event() {
    let (wrong, right) = (Authority::new(), Authority::new());
    let options = HomeOptions {
        tls: Some(right.server(None)),
        ..HomeOptions::default()
    };
    assert_read_again(
        options,
        "HA_CA_PARAMETER",
        &wrong.pem,
        &right.pem,
        "home-tls",
    )
    .await;
}
