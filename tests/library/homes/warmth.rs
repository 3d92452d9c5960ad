//! Keep-warm over several homes: all of them, a few at a time, and each for itself.

use latchkey_dev::home::RestFault;
use latchkey_dev::stack::{AwsEmulator, Fault};
use serde_json::json;
use testkit::homes::{
    GET_PARAMETERS, House, LIST, PREFIX, assert_done, assert_warm, entry, keep_warm, parameter,
    settle, toggle_in, village,
};
use testkit::{PARAMETER, problem};

use super::{app, app_with};

/// How many homes are seen to at once.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn all_stored_homes_are_warmed_by_name() {
    let (aws, houses) = village(["cabin", "beach", "attic"]).await;
    // What is stored there beside homes is none.
    for other in ["readme/text", "shed/inner/url", "no home/url", "url"] {
        let name = format!("{PREFIX}/{}", other.replace(' ', "_"));
        aws.put_parameter(&name, "http://127.0.0.1:9")
            .await
            .unwrap();
    }
    aws.delete_parameter(&format!("{PREFIX}/no_home/url"))
        .await
        .unwrap();
    let app = app(&aws).await;
    let answer = app.handle(&keep_warm()).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["warm"], true);
    assert_eq!(answer["homes"].as_array().unwrap().len(), 3, "{answer}");
    for house in &houses {
        assert_warm(&answer, Some(house.name));
        assert_eq!(entry(&answer, Some(house.name))["token"]["refreshed"], true);
        assert_eq!(entry(&answer, Some(house.name))["token"]["version"], 1);
    }
    assert_eq!(aws.calls_of(LIST).await.unwrap(), 1);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 3);

    // The commands after it need nothing but the sockets.
    for house in &houses {
        assert_done(&app.handle(&toggle_in(house.name)).await);
        let counters = house.home.counters();
        assert_eq!((counters.auth_ok, counters.config_checks), (1, 1));
        house.assert_saw_only_its_own_token();
    }
    let answer = app.handle(&keep_warm()).await;
    for house in &houses {
        assert_warm(&answer, Some(house.name));
        assert_eq!(
            entry(&answer, Some(house.name))["token"]["refreshed"],
            false
        );
    }
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 3);
}

#[tokio::test]
async fn the_home_without_a_name_is_warmed_as_well() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    let variables = [("HOMES_PARAMETER_PREFIX", PREFIX), ("HA_URL", url.as_str())];
    let app = app_with(&aws, &variables).await;
    let answer = app.handle(&keep_warm()).await;
    assert_eq!(answer["homes"].as_array().unwrap().len(), 2, "{answer}");
    assert_warm(&answer, None);
    assert_warm(&answer, Some(cabin.name));
    for house in [&main, &cabin] {
        house.assert_saw_only_its_own_token();
    }
}

#[tokio::test]
async fn a_home_in_trouble_is_reported_alone() {
    let (aws, [cabin, mut down, revoked, moved, locked]) =
        village(["cabin", "down", "revoked", "moved", "locked"]).await;
    down.home.stop().await;
    revoked.home.revoke(&revoked.token);
    aws.put_parameter(&parameter("moved", "url"), "elsewhere")
        .await
        .unwrap();
    let fault = Fault::new(GET_PARAMETERS, "KMSAccessDenied").containing("/locked/");
    aws.inject(&fault).await.unwrap();
    let app = app(&aws).await;
    for _ in 0..2 {
        let answer = app.handle(&keep_warm()).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert_warm(&answer, Some("cabin"));
        for (name, valid, trouble) in [
            ("down", json!(null), "home-unreachable"),
            ("revoked", json!(false), "token-rejected"),
            ("moved", json!(null), "internal"),
            ("locked", json!(null), "token-source-unavailable"),
        ] {
            let entry = entry(&answer, Some(name));
            assert_eq!(entry["token"]["valid"], valid, "{answer}");
            assert_eq!(problem(&entry["problem"]), trouble, "{answer}");
            assert_ne!(entry["session"], "ready", "{answer}");
        }
        assert_done(&app.handle(&toggle_in("cabin")).await);
    }
    // A rejected token is not presented twice, however often it is asked after.
    assert_eq!(revoked.home.counters().failed_logins, 1);
    for house in [&cabin, &down, &revoked, &moved, &locked] {
        house.assert_saw_only_its_own_token();
    }

    // Each comes back by itself.
    down.home.restart().await.unwrap();
    aws.clear_faults().await.unwrap();
    let token = revoked.home.mint_token("another");
    aws.put_token(&parameter("revoked", "token"), &token)
        .await
        .unwrap();
    moved.store(&aws).await;
    let answer = app.handle(&keep_warm()).await;
    for name in ["cabin", "down", "revoked", "moved", "locked"] {
        assert_warm(&answer, Some(name));
    }
}

/// Homes that do not answer hold up no more than a few others, and those only until they are given up.
#[tokio::test]
async fn so_many_at_once_and_no_more() {
    let aws = AwsEmulator::start().await.unwrap();
    let mut slow = House::build("slow").await;
    for number in 0..AT_ONCE - 1 {
        slow.store_as(&aws, &format!("a{number}")).await;
    }
    let last = settle(&aws, ["b", "c"]).await;
    let [second, third] = &last;
    slow.home.set_fault(RestFault::Hang);
    let far = "19000";
    let variables = [
        ("HOMES_PARAMETER_PREFIX", PREFIX),
        ("HA_VALIDATE_TIMEOUT_MS", far),
        ("HA_CONNECT_TIMEOUT_MS", far),
    ];
    let app = app_with(&aws, &variables).await;
    // One place is left beside the slow ones, so the others are warmed while these hang.
    let warming = tokio::spawn({
        let app = app.clone();
        async move { app.handle(&keep_warm()).await }
    });
    second.home.wait_for(|counters| counters.auth_ok == 1).await;
    let all_slow = |checks| checks == u64::try_from(AT_ONCE - 1).unwrap();
    slow.home
        .wait_for(|counters| all_slow(counters.config_checks))
        .await;
    assert!(!warming.is_finished());
    slow.home.stop().await;
    let answer = warming.await.unwrap();
    assert_warm(&answer, Some("b"));
    assert_warm(&answer, Some("c"));
    assert_eq!(third.home.counters().auth_ok, 1);
    for number in 0..AT_ONCE - 1 {
        let entry = entry(&answer, Some(&format!("a{number}"))).clone();
        assert_eq!(problem(&entry["problem"]), "home-unreachable", "{answer}");
    }
}

/// With every place taken, the next home waits until one is free.
#[tokio::test]
async fn the_ninth_waits_for_one_of_eight() {
    let aws = AwsEmulator::start().await.unwrap();
    let mut slow = House::build("slow").await;
    for number in 0..AT_ONCE {
        slow.store_as(&aws, &format!("a{number}")).await;
    }
    let [ninth] = settle(&aws, ["b"]).await;
    slow.home.set_fault(RestFault::Hang);
    let far = "19000";
    let variables = [
        ("HOMES_PARAMETER_PREFIX", PREFIX),
        ("HA_VALIDATE_TIMEOUT_MS", far),
        ("HA_CONNECT_TIMEOUT_MS", far),
    ];
    let app = app_with(&aws, &variables).await;
    let warming = tokio::spawn({
        let app = app.clone();
        async move { app.handle(&keep_warm()).await }
    });
    let all = u64::try_from(AT_ONCE).unwrap();
    slow.home
        .wait_for(|counters| counters.config_checks == all)
        .await;
    assert_eq!(ninth.home.counters().tcp_connections, 0);
    slow.home.stop().await;
    assert_warm(&warming.await.unwrap(), Some("b"));
}

/// Which homes there are cannot be found out: those that are known are kept warm all the same.
#[tokio::test]
async fn homes_that_are_open_need_no_list() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let app = app(&aws).await;
    assert_done(&app.handle(&toggle_in("cabin")).await);
    let closed = "AccessDeniedException";
    aws.inject(&Fault::new(LIST, closed)).await.unwrap();
    // Its socket is gone, so that there is something to be made ready again.
    cabin.home.revoke(&cabin.token);
    cabin
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    let token = cabin.home.mint_token("another");
    aws.put_token(&parameter("cabin", "token"), &token)
        .await
        .unwrap();
    let answer = app.handle(&keep_warm()).await;
    assert_warm(&answer, Some("cabin"));
    // And it does not go unsaid.
    assert!(
        answer.to_string().contains("token-source-unavailable"),
        "{answer}"
    );
}
