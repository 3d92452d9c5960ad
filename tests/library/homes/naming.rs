//! Tests of the `home` member, which selects the home of a request.

use latchkey_dev::stack::{AwsEmulator, Fault};
use serde_json::{Value, json};
use testkit::homes::{
    GET_PARAMETERS, House, LIST, PREFIX, assert_done, assert_problem, parameter, settle, toggle,
    toggle_in, village,
};
use testkit::{GET_PARAMETER, PARAMETER, problem};

use super::{app, app_with};

#[tokio::test]
async fn command_reaches_its_home_with_only_that_homes_token() {
    let (aws, [cabin, beach]) = village(["cabin", "beach-house.2_b"]).await;
    let app = app(&aws).await;
    for (house, other, calls) in [(&cabin, &beach, 1), (&beach, &cabin, 2)] {
        let before = (house.toggles(), other.toggles());
        for _ in 0..2 {
            assert_done(&app.handle(&toggle_in(house.name)).await);
        }
        assert_eq!((house.toggles(), other.toggles()), (before.0 + 2, before.1));
        // One call reads the URL and the token, and only the first command needs this call.
        assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), calls);
    }
    for house in [&cabin, &beach] {
        let counters = house.home.counters();
        assert_eq!((counters.auth_ok, counters.config_checks), (1, 1));
        assert_eq!(counters.presented(&house.token), 2);
        house.assert_saw_only_its_own_token();
    }
    assert_eq!(aws.calls_of(GET_PARAMETER).await.unwrap(), 0);
    assert_eq!(aws.calls_of(LIST).await.unwrap(), 0);
}

#[tokio::test]
async fn request_without_a_home_is_rejected_unless_an_unnamed_home_exists() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let answer = app(&aws).await.handle(&toggle()).await;
    assert_problem(&answer, "bad-request", 400, "\\\"home\\\"");
    assert_eq!(cabin.home.counters().tcp_connections, 0);

    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    let variables = [("HOMES_PARAMETER_PREFIX", PREFIX), ("HA_URL", url.as_str())];
    let both = app_with(&aws, &variables).await;
    assert_done(&both.handle(&toggle()).await);
    assert_eq!((main.toggles(), cabin.toggles()), (1, 0));
    assert_done(&both.handle(&toggle_in("cabin")).await);
    assert_eq!((main.toggles(), cabin.toggles()), (1, 1));
    for house in [&main, &cabin] {
        house.assert_saw_only_its_own_token();
    }
}

#[tokio::test]
async fn home_name_is_rejected_by_a_latchkey_of_one_home() {
    let aws = AwsEmulator::start().await.unwrap();
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    let app = app_with(&aws, &[("HA_URL", url.as_str())]).await;
    let answer = app.handle(&toggle_in("main")).await;
    assert_problem(&answer, "bad-request", 400, "leave `home` out");
    assert_eq!(main.toggles(), 0);
    assert_done(&app.handle(&toggle()).await);
}

#[tokio::test]
async fn invalid_home_name_is_rejected_before_any_read() {
    let aws = AwsEmulator::start().await.unwrap();
    let app = app(&aws).await;
    let long = "x".repeat(65);
    let names = [
        json!("a/b"),
        json!("/cabin"),
        json!("cabin/"),
        json!("../cabin"),
        json!("a b"),
        json!(" cabin"),
        json!("cabin\n"),
        json!(""),
        json!("hütte"),
        json!("*"),
        json!(long),
        json!(5),
        json!(["cabin"]),
    ];
    for name in names {
        let mut event = toggle();
        event["home"] = name;
        let answer = app.handle(&event).await;
        assert_problem(&answer, "bad-request", 400, "`home`");
    }
    // A null name counts as absent.
    let mut event = toggle();
    event["home"] = Value::Null;
    let answer = app.handle(&event).await;
    assert_problem(&answer, "bad-request", 400, "does not name one");
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 0);
}

#[tokio::test]
async fn missing_parameter_is_named_and_used_once_it_exists() {
    let aws = AwsEmulator::start().await.unwrap();
    let cabin = House::build("cabin").await;
    let app = app(&aws).await;
    let event = toggle_in("cabin");
    let (url, token) = (parameter("cabin", "url"), parameter("cabin", "token"));

    // First both parameters are missing, then the token, then the URL.
    assert_problem(&app.handle(&event).await, "not-found", 404, &url);
    aws.put_parameter(&url, &cabin.home.url()).await.unwrap();
    assert_problem(&app.handle(&event).await, "not-found", 404, &token);
    aws.put_token(&token, &cabin.token).await.unwrap();
    aws.delete_parameter(&url).await.unwrap();
    assert_problem(&app.handle(&event).await, "not-found", 404, &url);
    assert_eq!(cabin.home.counters().tcp_connections, 0);

    aws.put_parameter(&url, &cabin.home.url()).await.unwrap();
    assert_done(&app.handle(&event).await);
}

#[tokio::test]
async fn invalid_url_is_reported_and_used_once_corrected() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let app = app(&aws).await;
    let url = parameter("cabin", "url");
    for bad in [
        "ftp://cabin",
        "cabin:8123",
        "http://user:word@cabin",
        "nonsense",
        "http://",
    ] {
        aws.put_parameter(&url, bad).await.unwrap();
        let answer = app.handle(&toggle_in("cabin")).await;
        assert_problem(&answer, "internal", 500, "cabin");
        assert!(!answer.to_string().contains("user:word"), "{answer}");
    }
    // Some editors leave a line break at the end.
    let mended = format!("{}\n", cabin.home.url());
    aws.put_parameter(&url, &mended).await.unwrap();
    assert_done(&app.handle(&toggle_in("cabin")).await);
}

#[tokio::test]
async fn plaintext_token_is_not_used() {
    let aws = AwsEmulator::start().await.unwrap();
    let cabin = House::build("cabin").await;
    let url = parameter("cabin", "url");
    aws.put_parameter(&url, &cabin.home.url()).await.unwrap();
    let token = parameter("cabin", "token");
    aws.put_parameter(&token, &cabin.token).await.unwrap();
    let answer = app(&aws).await.handle(&toggle_in("cabin")).await;
    assert_problem(&answer, "token-source-unavailable", 503, "SecureString");
    assert_eq!(cabin.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn unreadable_home_does_not_affect_another_home() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    for code in ["AccessDeniedException", "KMSAccessDenied", "InvalidKeyId"] {
        let fault = Fault::new(GET_PARAMETERS, code).containing("/cabin/");
        aws.inject(&fault).await.unwrap();
        let answer = app.handle(&toggle_in("cabin")).await;
        assert_eq!(problem(&answer), "token-source-unavailable", "{answer}");
        assert_done(&app.handle(&toggle_in("beach")).await);
        aws.clear_faults().await.unwrap();
    }
    assert_eq!((cabin.toggles(), beach.toggles()), (0, 3));
    // An error is not cached.
    assert_done(&app.handle(&toggle_in("cabin")).await);
}

/// The same key names two requests in two homes, and one request in one home.
#[tokio::test]
async fn same_idempotency_key_in_two_homes_names_two_requests() {
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table("latchkey").await.unwrap();
    let [cabin, beach] = settle(&aws, ["cabin", "beach"]).await;
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    for (round, table) in [(1, ""), (2, "latchkey")] {
        let variables = [
            ("HOMES_PARAMETER_PREFIX", PREFIX),
            ("HA_URL", url.as_str()),
            ("TABLE_NAME", table),
        ];
        let app = app_with(&aws, &variables).await;
        for _ in 0..2 {
            for mut event in [toggle_in("cabin"), toggle_in("beach"), toggle()] {
                event["idempotency_key"] = json!("once");
                assert_done(&app.handle(&event).await);
            }
        }
        let toggles = (cabin.toggles(), beach.toggles(), main.toggles());
        assert_eq!(toggles, (round, round, round), "{table:?}");
    }
}
