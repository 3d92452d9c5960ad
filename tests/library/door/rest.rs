//! Tests of the home's own REST API behind latchkey, with faults of the simulated home.

use std::time::Duration;

use latchkey_dev::home::{Break, RestFault, SocketFault, SocketStage};
use latchkey_dev::stack::http_client;
use latchkey_local::LocalPort;
use serde_json::json;
use testkit::callers::{request, token};
use testkit::problem;

use super::DoorStage;

#[tokio::test]
async fn rest_request_without_permission_is_rejected() {
    let stage = DoorStage::start().await;
    for (method, path, permissions, status) in [
        ("GET", "/api/states", None, 401),
        ("GET", "/api/states", Some(vec!["call:*"]), 403),
        ("GET", "/api/config", Some(vec![]), 403),
        ("GET", "/api/error_log", Some(vec!["read", "call:*"]), 403),
        ("POST", "/api/template", Some(vec!["read", "call:*"]), 403),
        (
            "POST",
            "/api/states/light.kitchen",
            Some(vec!["read", "call:*"]),
            403,
        ),
        ("POST", "/api/events/x", Some(vec!["read", "call:*"]), 403),
        ("GET", "/api/states/../config", Some(vec!["admin"]), 400),
        ("GET", "/api/states/%2e%2e/config", Some(vec!["admin"]), 400),
        ("GET", "/apix", Some(vec!["admin"]), 404),
    ] {
        let jwt = permissions.map(|permissions| token(&permissions, &json!({})));
        let asked = request(method, path, jwt.as_deref(), None);
        let (seen, body) = stage.ask(&asked).await;
        assert_eq!(seen, status, "{method} {path}: {body}");
    }
    assert_eq!(stage.home.counters().tcp_connections, 0);
}

/// The response is lost after the execution. latchkey does not retry the request and reports an unknown outcome.
#[tokio::test]
async fn write_with_a_lost_response_is_not_retried() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    // The session opens before the fault, so its validation succeeds.
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    stage.home.set_fault(RestFault::Hang);
    let call = json!({ "entity_id": "light.kitchen" });
    let path = "/api/services/light/toggle";
    let requests = || -> u64 { stage.home.counters().http_requests.values().sum() };
    let before = requests();
    let (status, body) = stage
        .ask(&request("POST", path, Some(&jwt), Some(&call)))
        .await;
    assert_eq!(status, 504, "{body}");
    assert_eq!(problem(&body), "command-outcome-unknown");
    assert_eq!(requests(), before + 1);
}

/// All requests to the REST API use the connection of the token check.
#[tokio::test]
async fn reads_and_writes_share_the_connection_of_the_token_check() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    let call = json!({ "entity_id": "light.kitchen" });
    let before = stage.home.counters().tcp_connections;
    for (method, path, body) in [
        ("GET", "/api/states/light.kitchen", None),
        ("HEAD", "/api/states/light.kitchen", None),
        ("POST", "/api/services/light/toggle", Some(&call)),
        ("POST", "/api/services/light/toggle", Some(&call)),
        ("GET", "/api/states/light.kitchen", None),
        // The session answers these requests.
        ("GET", "/api/", None),
        ("GET", "/api/config", None),
        ("HEAD", "/api/states", None),
        ("GET", "/api/services", None),
    ] {
        let (status, body) = stage.ask(&request(method, path, Some(&jwt), body)).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        let opened = stage.home.counters().tcp_connections - before;
        assert_eq!(opened, 0, "{method} {path}");
    }
}

/// If the home closes the connection, latchkey retries a read once and does not retry any other request. A GET of
/// another path, such as a webhook, may have an effect.
#[tokio::test]
async fn read_is_retried_once_and_any_other_request_is_not() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    stage.home.set_fault(RestFault::Close);
    let call = json!({ "entity_id": "light.kitchen" });
    for (method, path, body, status, times) in [
        ("GET", "/api/states/light.kitchen", None, 503, 2),
        ("GET", "/api/webhook/x", None, 504, 1),
        ("HEAD", "/api/webhook/x", None, 504, 1),
        ("POST", "/api/services/light/toggle", Some(&call), 504, 1),
    ] {
        let requests = || -> u64 { stage.home.counters().http_requests.values().sum() };
        let before = requests();
        let (seen, answer) = stage.ask(&request(method, path, Some(&jwt), body)).await;
        assert_eq!(seen, status, "{method}: {answer}");
        assert_eq!(requests() - before, times, "{method}");
    }
}

/// A read over the session is also retried once. The home closes the first connection and answers on the second
/// connection.
#[tokio::test]
async fn read_over_a_session_that_ends_is_retried_once() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    let lost = SocketFault::At(SocketStage::Reply, Break::Close);
    for (times, status, answered) in [(1, 200, 2), (2, 503, 2)] {
        let asked = || stage.home.counters().commands.get("get_states").copied();
        let before = asked().unwrap_or_default();
        stage.home.set_fault_times(lost.clone(), times);
        let (seen, body) = stage
            .ask(&request("GET", "/api/states", Some(&jwt), None))
            .await;
        assert_eq!(seen, status, "{body}");
        assert_eq!(asked().unwrap_or_default() - before, answered);
    }
}

/// After a truncated response, a read fails and a write has an unknown outcome.
#[tokio::test]
async fn truncated_response_fails_a_read_and_leaves_a_write_unknown() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let limited = token(&["read:light.*"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    stage.home.set_fault(RestFault::CutBody);
    let call = json!({ "entity_id": "light.kitchen" });
    let toggle = "/api/services/light/toggle";
    const STATE: &str = "/api/states/light.kitchen";
    for (method, path, jwt, body, status, name) in [
        ("GET", STATE, &jwt, None, 503, "home-unreachable"),
        ("GET", STATE, &limited, None, 503, "home-unreachable"),
        (
            "POST",
            toggle,
            &jwt,
            Some(&call),
            504,
            "command-outcome-unknown",
        ),
    ] {
        let (seen, answer) = stage.ask(&request(method, path, Some(jwt), body)).await;
        assert_eq!(
            (seen, problem(&answer)),
            (status, name),
            "{method}: {answer}"
        );
    }
}

/// A local port streams responses. The end of this response is minutes away.
#[tokio::test]
async fn local_port_streams_responses() {
    let stage = DoorStage::start().await;
    let port = LocalPort::open(stage.app.function.clone()).await.unwrap();
    let client = http_client().unwrap();
    let get = || {
        let jwt = token(&["admin"], &json!({}));
        client
            .get(format!("{}/api/states/light.kitchen", port.url()))
            .bearer_auth(jwt)
    };
    assert_eq!(get().send().await.unwrap().status(), 200);
    stage
        .home
        .set_fault(RestFault::SlowBody(Duration::from_secs(1)));
    let mut response = get().send().await.unwrap();
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(first, "{");
}
