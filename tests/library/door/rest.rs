//! The home's own REST API, as the simulated home fails it.

use std::time::Duration;

use latchkey_dev::home::{Break, RestFault, SocketFault, SocketStage};
use latchkey_dev::stack::http_client;
use latchkey_local::LocalPort;
use serde_json::json;
use testkit::callers::{request, token};
use testkit::problem;

use super::DoorStage;

#[tokio::test]
async fn nobody_gets_through_without_a_permit() {
    let stage = DoorStage::set().await;
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

/// The answer is lost after the request was carried out: it is not sent again, and the caller is told.
#[tokio::test]
async fn what_may_have_been_carried_out_is_not_sent_again() {
    let stage = DoorStage::set().await;
    let jwt = token(&["admin"], &json!({}));
    // So that there is a session, whose proof does not meet the fault.
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

/// What only reads goes over a connection that is kept; what does something goes over its own, since a dead connection
/// cannot tell whether it was done.
#[tokio::test]
async fn only_reads_share_a_connection() {
    let stage = DoorStage::set().await;
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    let call = json!({ "entity_id": "light.kitchen" });
    for (method, path, body, opened) in [
        ("GET", "/api/states/light.kitchen", None, 1),
        ("GET", "/api/states/light.bedroom", None, 0),
        ("HEAD", "/api/states/light.kitchen", None, 0),
        ("POST", "/api/services/light/toggle", Some(&call), 1),
        ("POST", "/api/services/light/toggle", Some(&call), 1),
        ("GET", "/api/states/light.kitchen", None, 0),
        // These the session answers.
        ("GET", "/api/", None, 0),
        ("GET", "/api/config", None, 0),
        ("HEAD", "/api/states", None, 0),
        ("GET", "/api/services", None, 0),
    ] {
        let before = stage.home.counters().tcp_connections;
        let (status, body) = stage.ask(&request(method, path, Some(&jwt), body)).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        let seen = stage.home.counters().tcp_connections - before;
        assert_eq!(seen, opened, "{method} {path}");
    }
}

/// A home that hangs up instead of answering is asked once more for what only reads, and for nothing else: a GET
/// elsewhere, as to a webhook, may do something.
#[tokio::test]
async fn what_only_reads_may_be_asked_for_twice() {
    let stage = DoorStage::set().await;
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

/// So may what the session answers: the home hangs up over the first, and answers the second on another connection.
#[tokio::test]
async fn a_read_over_a_session_that_ends_is_asked_for_once_more() {
    let stage = DoorStage::set().await;
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

/// An answer that breaks off leaves what only reads unread, and what does something in doubt.
#[tokio::test]
async fn half_an_answer_is_none() {
    let stage = DoorStage::set().await;
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

/// Where answers need not be whole, they are sent as they come: this one's end would be minutes away.
#[tokio::test]
async fn a_local_port_sends_answers_as_they_come() {
    let stage = DoorStage::set().await;
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
