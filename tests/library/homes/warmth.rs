//! Tests of keep-warm with several homes. A limited number of homes is warmed concurrently, and each home has its own
//! result.

use latchkey_dev::home::RestFault;
use latchkey_dev::stack::{AwsEmulator, Fault};
use serde_json::json;
use testkit::homes::{
    GET_PARAMETERS, House, LIST, PREFIX, assert_done, assert_warm, entry, keep_warm, parameter,
    settle, toggle_in, village,
};
use testkit::{PARAMETER, problem};

use super::{app, app_with};

/// The number of homes that are warmed concurrently.
const CONCURRENT_HOMES: usize = 8;

#[tokio::test]
async fn keep_warm_warms_all_stored_homes() {
    let (aws, houses) = village(["cabin", "beach", "attic"]).await;
    // Other parameters under the prefix do not count as homes.
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

    // The next commands use only the open sockets.
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
async fn keep_warm_also_warms_the_unnamed_home() {
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
async fn failing_home_is_reported_and_does_not_affect_others() {
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
    // A rejected token is presented once, even with several keep-warm events.
    assert_eq!(revoked.home.counters().failed_logins, 1);
    for house in [&cabin, &down, &revoked, &moved, &locked] {
        house.assert_saw_only_its_own_token();
    }

    // Each home recovers without a restart of latchkey.
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

/// Hanging homes occupy their places until they time out. The remaining place still warms the other homes.
#[tokio::test]
async fn other_homes_are_warmed_while_seven_homes_hang() {
    let aws = AwsEmulator::start().await.unwrap();
    let mut slow = House::build("slow").await;
    for number in 0..CONCURRENT_HOMES - 1 {
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
    // One place is free, so the other homes are warmed while the slow homes hang.
    let warming = tokio::spawn({
        let app = app.clone();
        async move { app.handle(&keep_warm()).await }
    });
    second.home.wait_for(|counters| counters.auth_ok == 1).await;
    let all_slow = |checks| checks == u64::try_from(CONCURRENT_HOMES - 1).unwrap();
    slow.home
        .wait_for(|counters| all_slow(counters.config_checks))
        .await;
    assert!(!warming.is_finished());
    slow.home.stop().await;
    let answer = warming.await.unwrap();
    assert_warm(&answer, Some("b"));
    assert_warm(&answer, Some("c"));
    assert_eq!(third.home.counters().auth_ok, 1);
    for number in 0..CONCURRENT_HOMES - 1 {
        let entry = entry(&answer, Some(&format!("a{number}"))).clone();
        assert_eq!(problem(&entry["problem"]), "home-unreachable", "{answer}");
    }
}

/// If all places are taken, the next home waits for a free place.
#[tokio::test]
async fn ninth_home_waits_while_eight_homes_are_warmed() {
    let aws = AwsEmulator::start().await.unwrap();
    let mut slow = House::build("slow").await;
    for number in 0..CONCURRENT_HOMES {
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
    let all = u64::try_from(CONCURRENT_HOMES).unwrap();
    slow.home
        .wait_for(|counters| counters.config_checks == all)
        .await;
    assert_eq!(ninth.home.counters().tcp_connections, 0);
    slow.home.stop().await;
    assert_warm(&warming.await.unwrap(), Some("b"));
}

/// The list of homes cannot be read. The open homes are still kept warm.
#[tokio::test]
async fn open_homes_are_kept_warm_when_the_list_cannot_be_read() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let app = app(&aws).await;
    assert_done(&app.handle(&toggle_in("cabin")).await);
    let closed = "AccessDeniedException";
    aws.inject(&Fault::new(LIST, closed)).await.unwrap();
    // The socket is closed, so keep-warm must connect again.
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
    // The response reports the failed list too.
    assert!(
        answer.to_string().contains("token-source-unavailable"),
        "{answer}"
    );
}
