//! Authentication: at the opening of a connection, by message, and again on an open connection.

use serde_json::{Value, json};
use testkit::Socket;
use testkit::callers::token;

use super::SocketStage;

const HERE: &str = "https://house.example";

fn expired() -> String {
    token(&["admin"], &json!({"exp": 1_700_000_000}))
}

#[tokio::test]
async fn token_at_the_opening_is_read_from_each_place() {
    let stage = SocketStage::with(&[("CORS_ORIGINS", HERE), ("WEBSOCKET_QUERY_TOKEN", "on")]).await;
    let good = token(&["admin"], &json!({}));
    let other = token(&["admin"], &json!({"sub": "other"}));
    let none = json!({});
    let header = json!({"Authorization": format!("Bearer {good}")});
    let protocol = json!({"Sec-WebSocket-Protocol": format!("latchkey, latchkey.bearer.{good}")});
    let cookie = json!({"Cookie": format!("latchkey_token={good}"), "Origin": HERE});
    let foreign =
        json!({"Cookie": format!("latchkey_token={good}"), "Origin": "https://evil.example"});
    let two = json!({"Authorization": format!("Bearer {good}"), "Cookie": format!("latchkey_token={other}")});
    let stale = json!({"Authorization": format!("Bearer {}", expired())});
    let query = json!({"token": good});
    for (headers, query, status, is_authenticated) in [
        (&header, &none, 200, true),
        (&protocol, &none, 200, true),
        (&cookie, &none, 200, true),
        (&none, &query, 200, true),
        (&none, &none, 200, false),
        (&foreign, &none, 401, false),
        (&two, &none, 401, false),
        (&stale, &none, 401, false),
        (&json!({"Authorization": "Basic x"}), &none, 401, false),
        (&header, &json!({"token": other}), 401, false),
    ] {
        let socket = Socket::new("places");
        let reply = stage.app.handle(&socket.connect(headers, query)).await;
        assert_eq!(reply["statusCode"], status, "{headers} {query}: {reply}");
        assert!(!reply.to_string().contains(&good), "{reply}");
        if status == 200 {
            let pong = stage.send(&socket, &json!({"id": 1, "type": "ping"})).await;
            assert_eq!(
                pong["type"] == "pong",
                is_authenticated,
                "{headers}: {pong}"
            );
        }
    }
    let reply = stage
        .app
        .handle(&Socket::new("p").connect(&protocol, &none))
        .await;
    assert_eq!(
        reply,
        json!({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "latchkey"}})
    );
}

#[tokio::test]
async fn query_token_is_ignored_unless_configured() {
    let stage = SocketStage::start().await;
    let socket = Socket::new("query");
    let query = json!({"token": token(&["admin"], &json!({}))});
    let reply = stage.app.handle(&socket.connect(&json!({}), &query)).await;
    assert_eq!(reply["statusCode"], 200);
    assert_eq!(
        stage.send(&socket, &json!({"id": 1, "type": "ping"})).await,
        Value::Null
    );
}

#[tokio::test]
async fn first_message_authenticates_in_both_dialects() {
    let stage = SocketStage::start().await;
    let good = token(&["admin"], &json!({}));
    let plain = Socket::new("plain");
    stage
        .app
        .handle(&plain.connect(&json!({}), &json!({})))
        .await;
    let auth = json!({"type": "auth", "access_token": good});
    let ok = stage.send(&plain, &auth).await;
    assert_eq!(ok["type"], "auth_ok");
    assert!(
        ok["ha_version"]
            .as_str()
            .is_some_and(|version| version != "0.0.0"),
        "{ok}"
    );

    let envelope = Socket::new("envelope");
    stage
        .app
        .handle(&envelope.connect(&json!({}), &json!({})))
        .await;
    let auth = json!({
        "type": "auth", "id": "a-1", "timestamp": "2026-01-01T00:00:00Z", "payload": {"token": good},
    });
    let ok = stage.send(&envelope, &auth).await;
    assert_eq!(
        (&ok["type"], &ok["id"], &ok["version"]),
        (&json!("auth_ok"), &json!("a-1"), &json!(1))
    );
    assert!(ok["timestamp"].is_string());
    let left = ok["expires_in"].as_u64().unwrap();
    assert!((3_590..=3_600).contains(&left), "{left}");
    for (socket, id) in [(&plain, json!(1)), (&envelope, json!("x"))] {
        let pong = stage.send(socket, &json!({"id": id, "type": "ping"})).await;
        assert_eq!((&pong["type"], &pong["id"]), (&json!("pong"), &id));
    }
}

#[tokio::test]
async fn new_token_of_the_same_caller_keeps_the_connection() {
    let stage = SocketStage::start().await;
    let socket = stage.open("renewed", &["read"]).await;
    let call = |id: &str| {
        json!({
            "id": id, "type": "call_service",
            "payload": {"domain": "light", "service": "toggle", "target": {"entity_id": "light.kitchen"}},
        })
    };
    let refused = stage.send(&socket, &call("1")).await;
    assert_eq!(
        (&refused["code"], &refused["name"]),
        (&json!(1008), &json!("forbidden"))
    );
    let auth = |token: String| json!({"type": "auth", "id": "r", "payload": {"token": token}});
    let renewed = token(&["call:light.*"], &json!({}));
    assert_eq!(stage.send(&socket, &auth(renewed)).await["type"], "auth_ok");
    let done = stage.send(&socket, &call("2")).await;
    assert_eq!(
        (&done["type"], &done["success"]),
        (&json!("result"), &json!(true)),
        "{done}"
    );

    // An invalid token leaves the old one in force.
    let invalid = stage.send(&socket, &auth(expired())).await;
    assert_eq!(
        (&invalid["code"], &invalid["reconnect"]),
        (&json!(4003), &json!(false))
    );
    assert_eq!(stage.send(&socket, &call("3")).await["success"], true);

    // Another caller's token ends the connection.
    for other in [json!({"sub": "other"}), json!({"tenant": "other"})] {
        let socket = stage.open("foreign", &["admin"]).await;
        let foreign = token(&["admin"], &other);
        assert_eq!(stage.send(&socket, &auth(foreign)).await, Value::Null);
        assert_eq!(stage.send(&socket, &call("4")).await, Value::Null);
    }
    assert_eq!(stage.home.counters().service_calls.len(), 2);
}

#[tokio::test]
async fn expired_token_runs_no_command() {
    let stage = SocketStage::start().await;
    let socket = stage.open("expiring", &["admin"]).await;
    stage.pass(3_599);
    assert_eq!(
        stage
            .send(&socket, &json!({"id": "1", "type": "ping"}))
            .await["type"],
        "pong"
    );
    stage.pass(2);
    let refused = stage
        .send(&socket, &json!({"id": "2", "type": "get_config"}))
        .await;
    assert_eq!(
        (&refused["code"], &refused["id"]),
        (&json!(4003), &json!("2")),
        "{refused}"
    );
    let refused = stage
        .send(&socket, &json!({"id": 3, "type": "get_config"}))
        .await;
    assert_eq!(refused["error"]["code"], "unauthorized", "{refused}");
    let later = json!({"exp": 4_000_000_000_u64});
    let auth = json!({"type": "auth", "id": "r", "payload": {"token": token(&["admin"], &later)}});
    assert_eq!(stage.send(&socket, &auth).await["type"], "auth_ok");
    let served = stage
        .send(&socket, &json!({"id": "4", "type": "get_config"}))
        .await;
    assert_eq!(served["success"], true, "{served}");
}

#[tokio::test]
async fn attempts_from_one_address_are_limited() {
    let stage = SocketStage::start().await;
    let stale = expired();
    let mut statuses = Vec::new();
    for _ in 0..31 {
        let event = Socket::new("attempt").connect_with(&stale);
        statuses.push(
            stage.app.handle(&event).await["statusCode"]
                .as_u64()
                .unwrap(),
        );
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 30);
    assert_eq!(statuses.last(), Some(&403));
    // A valid token is not an attempt, and time gives new attempts.
    stage.open("valid", &["admin"]).await;
    stage.pass(2);
    let event = Socket::new("attempt").connect_with(&stale);
    assert_eq!(stage.app.handle(&event).await["statusCode"], 401);
}

#[tokio::test]
async fn limits_of_the_plan_are_kept() {
    let stage = SocketStage::with(&[("CALLER_CONNECTION_LIMITS", "*=2/3/5/4")]).await;
    let open = async |id: &str, claims: Value| {
        let event = Socket::new(id).connect_with(&token(&["admin"], &claims));
        stage.app.handle(&event).await["statusCode"].clone()
    };
    let anna = json!({"sub": "anna", "tenant": "house"});
    let ben = json!({"sub": "ben", "tenant": "house"});
    assert_eq!(open("a1", anna.clone()).await, 200);
    assert_eq!(open("a2", anna.clone()).await, 200);
    assert_eq!(open("a3", anna.clone()).await, 403);
    assert_eq!(open("b1", ben.clone()).await, 200);
    assert_eq!(open("b2", ben.clone()).await, 403);
    assert_eq!(
        open("c1", json!({"sub": "anna", "tenant": "cabin"})).await,
        200
    );
    stage.app.handle(&Socket::new("a1").disconnect()).await;
    assert_eq!(open("b2", ben).await, 200);

    let socket = Socket::new("c1");
    for id in 1..=4 {
        let pong = stage
            .send(&socket, &json!({"id": id, "type": "ping"}))
            .await;
        assert_eq!(pong["type"], "pong");
    }
    let limited = stage
        .send(&socket, &json!({"id": "5", "type": "ping"}))
        .await;
    assert_eq!(
        (&limited["code"], &limited["id"]),
        (&json!(4029), &json!("5"))
    );
    assert!(
        limited["message"]
            .as_str()
            .unwrap()
            .contains("more than 4 messages"),
        "{limited}"
    );
    stage.pass(1);
    assert_eq!(
        stage.send(&socket, &json!({"id": 6, "type": "ping"})).await["type"],
        "pong"
    );
}
