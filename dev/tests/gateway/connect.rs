//! Handshakes and the event `$connect`.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use futures_util::FutureExt;
use latchkey_dev::{
    gateway::{GatewayOptions, RateLimit},
    stack::http_client,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::client::{
    Function, answer, connect, failure, gateway, ok, only_id, open, post, refusal, send, start,
    text,
};

/// Returns the paths of all members of an event, except the names of headers.
fn members(event: &Value) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    collect(event, "", &mut members);
    members
}

fn collect(value: &Value, path: &str, members: &mut BTreeSet<String>) {
    members.insert(path.to_owned());
    if path.to_lowercase().ends_with("headers") {
        return;
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        collect(value, &format!("{path}/{name}"), members);
    }
}

/// Returns a sample event of AWS.
fn sample(name: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/events");
    let file = directory.join(format!("apigw-websocket-{name}.json"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test]
async fn events_have_the_members_of_aws() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let agent = [("user-agent", "Mozilla/5.0")];
    let (mut socket, _) = open(&gateway, &gateway.url(), &agent).await.unwrap();
    send(&mut socket, "{}").await;
    function.event("$default", 0).await;
    socket.close(None).await.unwrap();
    function.event("$disconnect", 0).await;
    for (event, name) in function
        .events()
        .iter()
        .zip(["connect", "default", "disconnect"])
    {
        assert_eq!(members(event), members(&sample(name)), "{name}");
    }
}

#[tokio::test]
async fn connect_event_describes_the_request() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let url = format!("{}?token=a%3Db+c&tag=1&tag=2", gateway.url());
    let headers = [
        ("user-agent", "test/1"),
        ("origin", "https://console.example.com"),
        ("x-tag", "1"),
        ("x-tag", "2"),
        ("x-forwarded-for", "192.0.2.9"),
        ("x-test-source-ip", "203.0.113.7"),
    ];
    let _socket = open(&gateway, &url, &headers).await.unwrap();
    let id = only_id(&gateway);
    let event = function.event("$connect", 0).await;

    let domain = gateway.domain();
    let context = &event["requestContext"];
    for (name, expected) in [
        ("eventType", "CONNECT"),
        ("messageDirection", "IN"),
        ("stage", "prod"),
        ("apiId", "w1s2o3c4k5"),
        ("connectionId", &id),
        ("domainName", &domain),
    ] {
        assert_eq!(context[name], expected, "{name}");
    }
    let identity = json!({"sourceIp": "203.0.113.7", "userAgent": "test/1"});
    assert_eq!(context["identity"], identity);
    assert_eq!(event["isBase64Encoded"], false);
    let query = json!({"token": "a=b c", "tag": "2"});
    assert_eq!(event["queryStringParameters"], query);
    let query = json!({"token": ["a=b c"], "tag": ["1", "2"]});
    assert_eq!(event["multiValueQueryStringParameters"], query);
    for (name, expected) in [
        ("Host", domain.as_str()),
        ("Origin", "https://console.example.com"),
        ("X-Tag", "2"),
        ("X-Forwarded-For", "192.0.2.9, 203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("Sec-WebSocket-Version", "13"),
    ] {
        assert_eq!(event["headers"][name], expected, "{name}");
    }
    assert_eq!(event["multiValueHeaders"]["X-Tag"], json!(["1", "2"]));
    for absent in ["Connection", "Upgrade", "X-Test-Source-Ip"] {
        assert_eq!(event["headers"][absent], Value::Null, "{absent}");
    }
}

#[tokio::test]
async fn source_ip_is_the_address_of_the_client_by_default() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let _socket = connect(&gateway).await;
    let event = function.event("$connect", 0).await;
    let identity = &event["requestContext"]["identity"];
    assert_eq!(identity, &json!({"sourceIp": "127.0.0.1"}));
    assert_eq!(event["queryStringParameters"], Value::Null);
}

#[tokio::test]
async fn connect_answer_decides_the_handshake() {
    for (script, expected) in [
        (json!({"statusCode": 401}), 401),
        (json!({"statusCode": 403, "body": "no"}), 403),
        (json!({"statusCode": 429}), 429),
        (json!({"statusCode": 503}), 503),
        // Malformed answers.
        (json!({"statusCode": 101}), 502),
        (json!({"warm": true}), 502),
        (json!({"statusCode": 200, "body": {}}), 502),
        (json!(null), 502),
    ] {
        let answered = script.clone();
        let function = Function::new(move |_| answer(answered.clone()));
        let gateway = gateway(&function).await;
        let refused = refusal(&gateway, &gateway.url()).await;
        assert_eq!(refused, expected, "{script}");
        // A refused client has no connection, so the function gets no other event.
        assert_eq!(gateway.counters().open_connections, 0);
        assert_eq!(function.events().len(), 1);
    }
    for accepting in [json!({"statusCode": 204}), json!({"statusCode": "200"})] {
        let function = Function::new(move |_| answer(accepting.clone()));
        let gateway = gateway(&function).await;
        let _socket = connect(&gateway).await;
        assert_eq!(gateway.open_connections(), 1);
    }
}

#[tokio::test]
async fn failed_or_slow_connect_refuses_the_handshake() {
    let function = Function::new(|_| failure());
    let failing = gateway(&function).await;
    assert_eq!(refusal(&failing, &failing.url()).await, 502);

    let options = GatewayOptions {
        integration_timeout: Duration::from_millis(20),
        ..GatewayOptions::default()
    };
    let function = Function::new(|_| std::future::pending().boxed());
    let slow = start(options, &function).await;
    assert_eq!(refusal(&slow, &slow.url()).await, 504);
}

#[tokio::test]
async fn subprotocol_is_the_one_that_the_function_names() {
    let requested = [("sec-websocket-protocol", "latchkey, latchkey.bearer.x")];
    let named = json!({"statusCode": 200, "headers": {"sec-websocket-protocol": "latchkey"}});
    let function = Function::new(move |_| answer(named.clone()));
    let naming = gateway(&function).await;
    let (_socket, response) = open(&naming, &naming.url(), &requested).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "latchkey");
    let event = function.event("$connect", 0).await;
    let header = &event["headers"]["Sec-WebSocket-Protocol"];
    assert_eq!(header, "latchkey, latchkey.bearer.x");

    // Without a name, the response has none. A client that requires a subprotocol then fails.
    let silent = gateway(&Function::silent()).await;
    let (_socket, response) = open(&silent, &silent.url(), &[]).await.unwrap();
    assert_eq!(response.headers().get("sec-websocket-protocol"), None);
    assert!(open(&silent, &silent.url(), &requested).await.is_err());
}

#[tokio::test]
async fn posts_before_connect_has_returned_are_gone() {
    let released = Arc::new(Notify::new());
    let function = Function::new({
        let released = Arc::clone(&released);
        move |_| {
            let released = Arc::clone(&released);
            async move {
                released.notified().await;
                ok().await
            }
            .boxed()
        }
    });
    let gateway = gateway(&function).await;
    let client = async {
        let mut socket = connect(&gateway).await;
        text(&mut socket).await
    };
    let poster = async {
        let event = function.event("$connect", 0).await;
        let id = event["requestContext"]["connectionId"].as_str().unwrap();
        let early = post(&gateway, id, "early").await;
        assert_eq!(early, (410, "GoneException".to_owned()));
        released.notify_one();
        gateway
            .wait_for(|counters| counters.open_connections == 1)
            .await;
        assert_eq!(post(&gateway, id, "in time").await.0, 200);
    };
    let (received, ()) = tokio::join!(client, poster);
    assert_eq!(received, "in time");
    let counters = gateway.counters();
    assert_eq!((counters.posts, counters.delivered_posts), (2, 1));
}

#[tokio::test]
async fn only_the_path_of_the_stage_is_the_api() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let base = format!("ws://{}", gateway.address());
    for path in [
        "",
        "/",
        "/dev",
        "/prod/",
        "/prod/api/websocket",
        "/api/websocket",
    ] {
        let refused = refusal(&gateway, &format!("{base}{path}")).await;
        assert_eq!(refused, 403, "{path}");
    }
    assert_eq!(function.events().len(), 0);
    let plain = format!("http://{}/prod", gateway.address());
    let plain = http_client().unwrap().get(plain).send().await;
    assert_eq!(plain.unwrap().status(), 426);
}

#[tokio::test]
async fn any_path_is_the_api_on_demand() {
    let options = GatewayOptions {
        stage: "live".to_owned(),
        ..GatewayOptions::default().any_path()
    };
    let function = Function::silent();
    let gateway = start(options, &function).await;
    assert!(gateway.url().ends_with("/live"));
    for (index, path) in ["/live", "/live/api/websocket", "/api/websocket"]
        .into_iter()
        .enumerate()
    {
        let url = format!("ws://{}{path}", gateway.address());
        let _socket = open(&gateway, &url, &[]).await.unwrap();
        let event = function.event("$connect", index).await;
        assert_eq!(event["requestContext"]["stage"], "live", "{path}");
    }
}

#[tokio::test]
async fn connections_above_the_rate_are_refused() {
    let options = GatewayOptions {
        connection_rate: Some(RateLimit {
            per_second: 0.01,
            burst: 2,
        }),
        ..GatewayOptions::default()
    };
    let gateway = start(options, &Function::silent()).await;
    let _first = connect(&gateway).await;
    let _second = connect(&gateway).await;
    assert_eq!(refusal(&gateway, &gateway.url()).await, 429);
    gateway.advance(Duration::from_secs(100));
    let _third = connect(&gateway).await;
    assert_eq!(gateway.counters().connects, 3);
}

#[tokio::test]
async fn dropping_the_gateway_ends_its_connections() {
    let gateway = gateway(&Function::silent()).await;
    let address = gateway.address();
    let mut socket = connect(&gateway).await;
    drop(gateway);
    let end = futures_util::StreamExt::next(&mut socket).await;
    assert!(matches!(end, Some(Err(_)) | None), "{end:?}");
    // The port is free when the task of the server has ended.
    let port_is_free = async {
        while tokio::net::TcpListener::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let freed = tokio::time::timeout(crate::client::ANY_TIME, port_is_free).await;
    assert!(freed.is_ok());
}

#[tokio::test]
async fn client_that_leaves_during_connect_gets_a_disconnect_event() {
    let released = Arc::new(Notify::new());
    let function = Function::new({
        let released = Arc::clone(&released);
        move |event| {
            let released = Arc::clone(&released);
            async move {
                if crate::client::route(&event) == "$connect" {
                    released.notified().await;
                }
                ok().await
            }
            .boxed()
        }
    });
    let gateway = gateway(&function).await;
    let client = connect(&gateway);
    tokio::select! {
        _ = client => panic!("the handshake ended before $connect"),
        _ = function.event("$connect", 0) => {}
    }
    released.notify_one();
    let event = function.event("$disconnect", 0).await;
    assert_eq!(event["requestContext"]["disconnectStatusCode"], 1006);
}
