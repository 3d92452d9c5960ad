//! Tests of events that report a changed parameter of a home. The home uses the change at once, and other homes are
//! not affected.

use std::time::Duration;

use latchkey_dev::stack::{AwsEmulator, Fault};
use serde_json::{Value, json};
use testkit::homes::{
    GET_PARAMETERS, House, PREFIX, assert_done, assert_warm, changed, entry, keep_warm, parameter,
    toggle, toggle_in, village,
};
use testkit::{GET_PARAMETER, PARAMETER, problem};

use super::{app, app_with};

fn assert_ignored(answer: &Value) {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["ignored"], true, "{answer}");
}

#[tokio::test]
async fn changed_token_refreshes_only_its_home() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    app.handle(&keep_warm()).await;
    let before = beach.home.counters();
    let second = cabin.home.mint_token("second");
    aws.put_token(&parameter("cabin", "token"), &second)
        .await
        .unwrap();
    let answer = app.handle(&changed(&parameter("cabin", "token"))).await;
    assert_eq!(answer["homes"].as_array().unwrap().len(), 1, "{answer}");
    assert_warm(&answer, Some("cabin"));
    assert_eq!(entry(&answer, Some("cabin"))["token"]["refreshed"], true);
    assert_eq!(entry(&answer, Some("cabin"))["token"]["version"], 2);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 3);

    // The new token is in use, so the old token can be revoked.
    cabin.home.revoke(&cabin.token);
    assert_done(&app.handle(&toggle_in("cabin")).await);
    assert_done(&app.handle(&toggle_in("beach")).await);
    assert_eq!(cabin.home.counters().failed_logins, 0);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 3);
    let after = beach.home.counters();
    assert_eq!(after.tokens_presented, before.tokens_presented);
    assert_eq!(after.tcp_connections, before.tcp_connections);
}

/// EventBridge rules with an input transformer send the detail as a JSON string.
#[tokio::test]
async fn change_event_with_a_text_detail_is_understood() {
    let (aws, [_cabin]) = village(["cabin"]).await;
    let app = app(&aws).await;
    assert_done(&app.handle(&toggle_in("cabin")).await);
    let mut event = changed(&parameter("cabin", "token"));
    event["detail"] = json!(event["detail"].to_string());
    let answer = app.handle(&event).await;
    assert_warm(&answer, Some("cabin"));
    assert_eq!(entry(&answer, Some("cabin"))["token"]["refreshed"], true);
}

#[tokio::test]
async fn change_of_a_home_that_is_not_open_is_ignored() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    assert_done(&app.handle(&toggle_in("cabin")).await);
    let (counters, reads) = (cabin.home.counters(), GET_PARAMETERS);
    for name in [
        parameter("beach", "token"),
        parameter("beach", "url"),
        parameter("nowhere", "token"),
        parameter("cabin", "note"),
        parameter("cabin", "url/old"),
        parameter("cabin", ""),
        format!("{PREFIX}-old/cabin/url"),
        format!("{PREFIX}/token"),
        "/cabin/token".to_owned(),
        "token".to_owned(),
        PARAMETER.to_owned(),
    ] {
        assert_ignored(&app.handle(&changed(&name)).await);
    }
    assert_eq!(aws.calls_of(reads).await.unwrap(), 1);
    let after = cabin.home.counters();
    assert_eq!(after.tcp_connections, counters.tcp_connections);
    assert_eq!(after.open_sockets, 1);
    assert_eq!(beach.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn changed_token_of_the_unnamed_home_refreshes_only_that_home() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    let variables = [("HOMES_PARAMETER_PREFIX", PREFIX), ("HA_URL", url.as_str())];
    let app = app_with(&aws, &variables).await;
    app.handle(&keep_warm()).await;
    let (second, reads) = (main.home.mint_token("second"), GET_PARAMETER);
    aws.put_token(PARAMETER, &second).await.unwrap();
    let answer = app.handle(&changed(PARAMETER)).await;
    assert_eq!(answer["homes"].as_array().unwrap().len(), 1, "{answer}");
    assert_warm(&answer, None);
    assert_eq!(entry(&answer, None)["token"]["version"], 2, "{answer}");
    assert_eq!(aws.calls_of(reads).await.unwrap(), 2);
    assert_eq!(cabin.home.counters().auth_ok, 1);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 1);
}

#[tokio::test]
async fn changed_url_is_used_at_once() {
    let (aws, [old, beach]) = village(["cabin", "beach"]).await;
    let new = House::build("cabin").await;
    let app = app(&aws).await;
    app.handle(&keep_warm()).await;
    new.store(&aws).await;
    let answer = app.handle(&changed(&parameter("cabin", "url"))).await;
    assert_warm(&answer, Some("cabin"));
    old.home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    assert_done(&app.handle(&toggle_in("cabin")).await);
    assert_eq!((old.toggles(), new.toggles()), (0, 1));
    assert_eq!(beach.home.counters().auth_ok, 1);
    for house in [&old, &new, &beach] {
        house.assert_saw_only_its_own_token();
    }
}

#[tokio::test]
async fn invalid_change_is_reported_in_the_response() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    app.handle(&keep_warm()).await;
    let (url, token) = (parameter("cabin", "url"), parameter("cabin", "token"));

    // An invalid URL.
    aws.put_parameter(&url, "nonsense").await.unwrap();
    let answer = app.handle(&changed(&url)).await;
    let found = entry(&answer, Some("cabin"));
    assert_eq!(problem(&found["problem"]), "internal", "{answer}");
    cabin.store(&aws).await;
    assert_done(&app.handle(&toggle_in("cabin")).await);

    // An unreadable parameter.
    let fault = Fault::new(GET_PARAMETERS, "AccessDeniedException");
    aws.inject(&fault).await.unwrap();
    for name in [&url, &token] {
        let answer = app.handle(&changed(name)).await;
        let found = entry(&answer, Some("cabin"));
        assert_eq!(
            problem(&found["problem"]),
            "token-source-unavailable",
            "{answer}"
        );
        aws.clear_faults().await.unwrap();
        assert_done(&app.handle(&toggle_in("cabin")).await);
        aws.inject(&fault).await.unwrap();
    }
    aws.clear_faults().await.unwrap();

    // A malformed token.
    aws.put_token(&token, "nonsense").await.unwrap();
    let answer = app.handle(&changed(&token)).await;
    let found = entry(&answer, Some("cabin"));
    assert_eq!(problem(&found["problem"]), "token-malformed", "{answer}");
    assert_eq!(beach.home.counters().auth_ok, 1);
    assert_eq!(cabin.home.counters().failed_logins, 0);
}

#[tokio::test]
async fn home_with_a_deleted_token_is_not_served() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    app.handle(&keep_warm()).await;
    let token = parameter("cabin", "token");
    aws.delete_parameter(&token).await.unwrap();
    let answer = app.handle(&changed(&token)).await;
    let found = entry(&answer, Some("cabin"));
    assert!(
        ["token-missing", "not-found"].contains(&problem(&found["problem"])),
        "{answer}"
    );
    assert_eq!(beach.home.counters().auth_ok, 1);
    cabin.store(&aws).await;
    assert_warm(&app.handle(&keep_warm()).await, Some("cabin"));
}

/// Parameter Store hangs. latchkey answers before Lambda would end the execution environment.
#[tokio::test]
async fn change_event_is_answered_before_the_deadline() {
    let (aws, [_cabin]) = village(["cabin"]).await;
    let app = app(&aws).await;
    for leaf in ["url", "token"] {
        assert_done(&app.handle(&toggle_in("cabin")).await);
        let hang = Fault::new(GET_PARAMETERS, "hang");
        aws.inject(&hang).await.unwrap();
        let event = changed(&parameter("cabin", leaf));
        let answer = app.handle_within(Duration::from_secs(2), &event).await;
        assert!(answer["statusCode"].is_u64(), "{leaf}: {answer}");
        aws.clear_faults().await.unwrap();
    }
}

/// With a single home, only an event about its parameter counts.
#[tokio::test]
async fn changed_token_refreshes_a_single_home() {
    let aws = AwsEmulator::start().await.unwrap();
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    let app = app_with(&aws, &[("HA_URL", url.as_str())]).await;
    assert_done(&app.handle(&toggle()).await);
    assert_ignored(&app.handle(&changed(&parameter("main", "token"))).await);
    assert_eq!(aws.calls_of(GET_PARAMETER).await.unwrap(), 1);
    let answer = app.handle(&changed(PARAMETER)).await;
    assert_eq!(answer["token"]["valid"], true, "{answer}");
    assert_eq!(answer["token"]["refreshed"], true, "{answer}");
    assert_eq!(answer.get("homes"), None, "{answer}");
    assert_eq!(aws.calls_of(GET_PARAMETER).await.unwrap(), 2);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 0);
}

/// A label moves to another version. The event names the parameter and not the label.
#[tokio::test]
async fn moved_label_refreshes_the_token_that_it_selects() {
    let aws = AwsEmulator::start().await.unwrap();
    let main = House::build("main").await;
    let label = async |version: i64| {
        let client = aws_sdk_ssm::Client::new(aws.sdk_config());
        let labelled = client.label_parameter_version().name(PARAMETER);
        let labelled = labelled.parameter_version(version).labels("prod");
        labelled.send().await.unwrap();
    };
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    label(1).await;
    let (url, pinned) = (main.home.url(), format!("{PARAMETER}:prod"));
    let variables = [
        ("HA_URL", url.as_str()),
        ("HA_TOKEN_PARAMETER", pinned.as_str()),
    ];
    let app = app_with(&aws, &variables).await;
    assert_done(&app.handle(&toggle()).await);
    let second = main.home.mint_token("second");
    aws.put_token(PARAMETER, &second).await.unwrap();
    let answer = app.handle(&changed(PARAMETER)).await;
    assert_eq!(answer["token"]["version"], 1, "{answer}");
    label(2).await;
    let answer = app.handle(&changed(PARAMETER)).await;
    assert_eq!(answer["token"]["version"], 2, "{answer}");
    assert_eq!(answer["token"]["valid"], true, "{answer}");
    assert_eq!(answer["token"]["refreshed"], true, "{answer}");
    assert_eq!(main.home.counters().failed_logins, 0);
}
