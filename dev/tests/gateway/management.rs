//! The management API.

use std::time::{Duration, Instant};

use aws_sdk_apigatewaymanagement::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    primitives::Blob,
};
use latchkey_dev::{
    gateway::{GatewayOptions, RateLimit},
    stack::http_client,
};
use reqwest::Method;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{
    Function, SIGNATURE, connect, gateway, manage, next, only_id, open, post, send, start, text,
};

const KIB: usize = 1024;
const GONE: &str = "GoneException";
const LIMIT: &str = "LimitExceededException";

#[tokio::test]
async fn posted_bodies_become_frames_in_order() {
    let gateway = gateway(&Function::silent()).await;
    let mut socket = connect(&gateway).await;
    let id = only_id(&gateway);
    for number in 0..5 {
        assert_eq!(post(&gateway, &id, number.to_string()).await.0, 200);
    }
    for number in 0..5 {
        assert_eq!(text(&mut socket).await, number.to_string());
    }
    // Bytes that are not UTF-8 cannot be a text frame.
    assert_eq!(post(&gateway, &id, vec![0, 255]).await.0, 200);
    assert_eq!(next(&mut socket).await, Message::binary(vec![0, 255]));
    let counters = gateway.counters();
    assert_eq!((counters.posts, counters.delivered_posts), (6, 6));
}

#[tokio::test]
async fn post_to_an_unknown_connection_is_gone() {
    let gateway = gateway(&Function::silent()).await;
    let gone = manage(&gateway, Method::POST, "YQ3kMcqVoAMCJhA=", "x").await;
    assert_eq!(gone.status(), 410);
    assert_eq!(gone.headers()["x-amzn-errortype"], GONE);
    let body: Value = gone.json().await.unwrap();
    assert!(body["message"].is_string());
    let gone = manage(&gateway, Method::GET, "YQ3kMcqVoAMCJhA=", "").await;
    assert_eq!(gone.status(), 410);
}

#[tokio::test]
async fn posted_body_may_have_128_kib() {
    let gateway = gateway(&Function::silent()).await;
    let mut socket = connect(&gateway).await;
    let id = only_id(&gateway);
    let refused = post(&gateway, &id, "x".repeat(128 * KIB + 1)).await;
    assert_eq!(refused, (413, "PayloadTooLargeException".to_owned()));
    let largest = "x".repeat(128 * KIB);
    assert_eq!(post(&gateway, &id, largest.clone()).await.0, 200);
    assert!(text(&mut socket).await == largest);
}

#[tokio::test]
async fn unsigned_request_is_forbidden() {
    let gateway = gateway(&Function::silent()).await;
    let _socket = connect(&gateway).await;
    let id = only_id(&gateway);
    let url = format!("{}/@connections/{id}", gateway.management_url());
    let client = http_client().unwrap();
    for method in [Method::POST, Method::DELETE, Method::GET] {
        let unsigned = client.request(method.clone(), &url).send().await;
        assert_eq!(unsigned.unwrap().status(), 403, "{method}");
        let other = client.request(method.clone(), &url).bearer_auth("token");
        assert_eq!(other.send().await.unwrap().status(), 403, "{method}");
    }
    let counters = gateway.counters();
    assert_eq!((counters.posts, counters.deletes), (0, 0));
    assert_eq!(gateway.open_connections(), 1);
}

#[tokio::test]
async fn path_may_be_encoded_but_must_name_the_stage() {
    let gateway = gateway(&Function::silent()).await;
    let mut socket = connect(&gateway).await;
    let (id, address) = (only_id(&gateway), gateway.address());
    let client = http_client().unwrap();
    for (path, expected) in [
        (
            format!("/prod/%40connections/{}", id.replace('=', "%3D")),
            200,
        ),
        (format!("/prod/@connections/{id}"), 200),
        (format!("/dev/@connections/{id}"), 403),
        ("/prod/@connections".to_owned(), 403),
    ] {
        let request = client
            .post(format!("http://{address}{path}"))
            .header("authorization", SIGNATURE)
            .body(path.clone());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected, "{path}");
        if expected == 200 {
            assert_eq!(text(&mut socket).await, path);
        }
    }
}

#[tokio::test]
async fn get_describes_the_connection() {
    let function = Function::echo();
    let gateway = gateway(&function).await;
    let headers = [
        ("user-agent", "test/1"),
        ("x-test-source-ip", "2001:db8::1"),
    ];
    let opened = open(&gateway, &gateway.url(), &headers).await;
    let (mut socket, _) = opened.unwrap();
    let id = only_id(&gateway);
    let before = OffsetDateTime::now_utc();
    send(&mut socket, "hello").await;
    assert_eq!(text(&mut socket).await, "hello");

    let description = manage(&gateway, Method::GET, &id, "").await;
    assert_eq!(description.status(), 200);
    let description: Value = description.json().await.unwrap();
    assert_eq!(description["identity"]["sourceIp"], "2001:db8::1");
    assert_eq!(description["identity"]["userAgent"], "test/1");
    let time = |name: &str| {
        let text = description[name].as_str().unwrap();
        OffsetDateTime::parse(text, &Rfc3339).unwrap()
    };
    let connect = function.event("$connect", 0).await;
    let connected_at = &connect["requestContext"]["connectedAt"];
    let milliseconds = time("connectedAt").unix_timestamp_nanos() / 1_000_000;
    assert_eq!(i128::from(connected_at.as_i64().unwrap()), milliseconds);
    assert!(time("lastActiveAt") >= before - Duration::from_millis(1));
}

#[tokio::test]
async fn throttle_refuses_the_next_posts() {
    let gateway = gateway(&Function::silent()).await;
    let mut socket = connect(&gateway).await;
    let id = only_id(&gateway);
    gateway.throttle(2);
    for _ in 0..2 {
        assert_eq!(post(&gateway, &id, "no").await, (429, LIMIT.to_owned()));
    }
    assert_eq!(post(&gateway, &id, "yes").await.0, 200);
    assert_eq!(text(&mut socket).await, "yes");
    let counters = gateway.counters();
    assert_eq!((counters.posts, counters.throttled), (3, 2));
}

#[tokio::test]
async fn posts_above_the_rate_are_refused() {
    let options = GatewayOptions {
        post_rate: Some(RateLimit {
            per_second: 0.01,
            burst: 2,
        }),
        ..GatewayOptions::default()
    };
    let gateway = start(options, &Function::silent()).await;
    let _socket = connect(&gateway).await;
    let id = only_id(&gateway);
    for expected in [200, 200, 429] {
        assert_eq!(post(&gateway, &id, "x").await.0, expected);
    }
    gateway.advance(Duration::from_secs(100));
    assert_eq!(post(&gateway, &id, "x").await.0, 200);
}

#[tokio::test]
async fn post_delay_holds_a_frame_back() {
    let delay = Duration::from_millis(50);
    let options = GatewayOptions {
        post_delay: delay,
        ..GatewayOptions::default()
    };
    let gateway = start(options, &Function::silent()).await;
    let mut socket = connect(&gateway).await;
    let id = only_id(&gateway);
    let started = Instant::now();
    let (posted, received) = tokio::join!(post(&gateway, &id, "x"), text(&mut socket));
    assert_eq!((posted.0, received.as_str()), (200, "x"));
    assert!(started.elapsed() >= delay);
}

/// Returns a client of the AWS SDK.
fn sdk(endpoint: String) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn sdk_understands_all_answers() {
    let gateway = gateway(&Function::silent()).await;
    let mut socket = connect(&gateway).await;
    let (id, client) = (only_id(&gateway), sdk(gateway.management_url()));
    let post = |bytes: usize| {
        let data = Blob::new("x".repeat(bytes));
        client.post_to_connection().connection_id(&id).data(data)
    };
    post(1).send().await.unwrap();
    assert_eq!(text(&mut socket).await, "x");
    let described = client.get_connection().connection_id(&id).send().await;
    let described = described.unwrap();
    assert!(described.last_active_at() >= described.connected_at());
    let identity = described.identity().unwrap();
    assert_eq!(identity.source_ip(), Some("127.0.0.1"));

    gateway.throttle(1);
    let throttled = post(1).send().await.unwrap_err();
    let too_large = post(128 * KIB + 1).send().await.unwrap_err();
    let deleted = client.delete_connection().connection_id(&id).send().await;
    deleted.unwrap();
    let gone = post(1).send().await.unwrap_err();
    for (error, expected) in [
        (throttled, LIMIT),
        (too_large, "PayloadTooLargeException"),
        (gone, GONE),
    ] {
        assert_eq!(error.code(), Some(expected));
        assert!(error.message().is_some(), "{expected}");
    }
}
