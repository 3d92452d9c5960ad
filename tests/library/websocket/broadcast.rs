//! Events that a home pushes to connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use latchkey_dev::gateway::{GatewayOptions, WebSocketGateway};
use ring::hmac;
use serde_json::{Value, json};
use testkit::callers::{request, token};
use testkit::{SocketClient, problem};

use super::SocketStage;

const SECRET_PARAMETER: &str = "/latchkey/events";
const SECRET: &str = "events-0123456789abcdef0123456789";

struct PushStage {
    stage: SocketStage,
    gateway: WebSocketGateway,
    clients: BTreeMap<&'static str, SocketClient>,
}

impl PushStage {
    /// Starts a stage with connections of two tenants.
    async fn start() -> Self {
        let stage = SocketStage::with(&[("EVENTS_SECRET_PARAMETER", SECRET_PARAMETER)]).await;
        stage.aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
        let function = Arc::new(stage.app.clone());
        let gateway = WebSocketGateway::start(GatewayOptions::default(), function)
            .await
            .unwrap();
        let mut clients = BTreeMap::new();
        for (name, subject, tenant) in [
            ("anna-1", "anna", "house"),
            ("anna-2", "anna", "house"),
            ("ben", "ben", "house"),
            ("carl", "carl", "cabin"),
        ] {
            let jwt = token(
                &["read:light.*"],
                &json!({"sub": subject, "tenant": tenant}),
            );
            let bearer = format!("Bearer {jwt}");
            let client = SocketClient::connect(&gateway.url(), &[("authorization", &bearer)]).await;
            clients.insert(name, client.unwrap_or_else(|status| panic!("{status}")));
        }
        Self {
            stage,
            gateway,
            clients,
        }
    }

    async fn push(&self, headers: &[(&str, String)], body: &str) -> (u64, Value) {
        let mut event = request("POST", "/events", None, None);
        event["body"] = json!(body);
        for (name, value) in headers {
            event["headers"][*name] = json!(value);
        }
        let answer = self.stage.app.handle(&event).await;
        let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    }

    async fn push_with_secret(&self, event: &Value) -> (u64, Value) {
        let bearer = [("authorization", format!("Bearer {SECRET}"))];
        self.push(&bearer, &event.to_string()).await
    }

    /// Asserts that exactly these clients have got one event, and returns it.
    async fn received(&mut self, names: &[&str]) -> Value {
        let mut event = Value::Null;
        for (name, client) in &mut self.clients {
            // The answer to a ping comes after every frame that was posted before.
            client.send(&json!({"id": "p", "type": "ping"})).await;
            let mut got = Vec::new();
            loop {
                let message = client.next().await.message();
                match message["type"].as_str() {
                    Some("pong") => break,
                    _ => got.push(message),
                }
            }
            assert_eq!(
                got.len(),
                usize::from(names.contains(name)),
                "{name}: {got:?}"
            );
            event = got.pop().unwrap_or(event);
        }
        event
    }
}

fn sent(count: usize) -> Value {
    json!({"sent": count, "gone": 0, "failed": 0})
}

#[tokio::test]
async fn event_reaches_its_receivers_only() {
    let mut stage = PushStage::start().await;
    let event =
        |to: Value| json!({"home": "house", "type": "doorbell", "data": {"n": 1.0}, "to": to});
    let answer = stage
        .push_with_secret(&event(json!({"tenant": true})))
        .await;
    assert_eq!(answer, (200, sent(3)));
    let got = stage.received(&["anna-1", "anna-2", "ben"]).await;
    assert_eq!(got["type"], "event");
    assert_eq!(
        got["event"],
        json!({"event_type": "doorbell", "data": {"n": 1.0}})
    );
    assert!(got["timestamp"].is_string() && got["id"].is_null());

    let answer = stage
        .push_with_secret(&event(json!({"user": "anna"})))
        .await;
    assert_eq!(answer, (200, sent(2)));
    stage.received(&["anna-1", "anna-2"]).await;

    let mut but_one = event(json!({"tenant": true}));
    let ids = stage.gateway.connections();
    but_one["except"] = json!(ids);
    assert_eq!(stage.push_with_secret(&but_one).await, (200, sent(0)));

    // A subject of another tenant with the same name is another user.
    let mut other = event(json!({"user": "anna"}));
    other["home"] = json!("cabin");
    assert_eq!(stage.push_with_secret(&other).await, (200, sent(0)));
    stage.received(&[]).await;
}

#[tokio::test]
async fn watchers_get_the_events_of_their_resource() {
    let mut stage = PushStage::start().await;
    let watch = |kind: &str, resource: &str| json!({"id": "w", "type": kind, "payload": {"resources": [resource]}});
    let ben = stage.clients.get_mut("ben").unwrap();
    assert_eq!(
        ben.ask(&watch("watch", "light.kitchen")).await["success"],
        true
    );
    let refused = ben.ask(&watch("watch", "lock.front")).await;
    assert_eq!(
        (&refused["code"], &refused["name"]),
        (&json!(1008), &json!("forbidden"))
    );
    let carl = stage.clients.get_mut("carl").unwrap();
    assert_eq!(
        carl.ask(&watch("watch", "light.kitchen")).await["success"],
        true
    );
    let event =
        json!({"home": "house", "type": "x", "data": null, "to": {"resource": "light.kitchen"}});
    assert_eq!(stage.push_with_secret(&event).await, (200, sent(1)));
    stage.received(&["ben"]).await;
    let ben = stage.clients.get_mut("ben").unwrap();
    assert_eq!(
        ben.ask(&watch("unwatch", "light.kitchen")).await["success"],
        true
    );
    assert_eq!(stage.push_with_secret(&event).await, (200, sent(0)));
    stage.received(&[]).await;
}

#[tokio::test]
async fn state_change_reaches_the_watchers_of_its_entity() {
    let mut stage = PushStage::start().await;
    let watch = json!({"id": "w", "type": "watch", "payload": {"resources": ["light.kitchen"]}});
    for name in ["ben", "carl"] {
        let client = stage.clients.get_mut(name).unwrap();
        assert_eq!(client.ask(&watch).await["success"], true);
    }
    let data =
        json!({"entity_id": "light.kitchen", "old_state": null, "new_state": {"state": "on"}});
    for body in [
        data.clone(),
        json!({"event_type": "state_changed", "data": data}),
    ] {
        let mut event = request("POST", "/events", Some(SECRET), Some(&body));
        event["rawQueryString"] = json!("home=house");
        let answer = stage.stage.app.handle(&event).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let got = stage.received(&["ben"]).await;
        assert_eq!(
            got["event"],
            json!({"event_type": "state_changed", "data": data})
        );
    }
}

#[tokio::test]
async fn connection_that_is_gone_is_removed() {
    let mut stage = PushStage::start().await;
    stage.gateway.lose_disconnects(true);
    stage.clients.remove("ben").unwrap().vanish();
    stage.gateway.wait_for(|counters| counters.ended == 1).await;
    // API Gateway may not know a connection in its first seconds, so a row stays for some time.
    stage.stage.pass(31);
    // Throttled posts are repeated.
    stage.gateway.throttle(4);
    let event = json!({"home": "house", "type": "x", "data": 1, "to": {"tenant": true}});
    let answer = stage.push_with_secret(&event).await;
    assert_eq!(answer, (200, json!({"sent": 2, "gone": 1, "failed": 0})));
    assert_eq!(stage.push_with_secret(&event).await, (200, sent(2)));
    assert_eq!(stage.gateway.counters().throttled, 4);
}

#[tokio::test]
async fn sender_needs_the_secret_a_signature_or_admin() {
    let stage = PushStage::start().await;
    let body = json!({"home": "house", "type": "x", "data": 1, "to": {"tenant": true}}).to_string();
    let bearer = |token: String| [("authorization", format!("Bearer {token}"))];
    for (jwt, status) in [
        (token(&["read", "call:*"], &json!({"tenant": "house"})), 403),
        (token(&["admin"], &json!({"tenant": "cabin"})), 403),
        (format!("{SECRET}x"), 401),
        (token(&["admin"], &json!({"tenant": "house"})), 200),
        (token(&["admin"], &json!({})), 200),
    ] {
        let (found, answer) = stage.push(&bearer(jwt), &body).await;
        assert_eq!(found, status, "{answer}");
    }
    assert_eq!(stage.push(&[], &body).await.0, 401);

    let now = stage.stage.now();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let sign = |at: u64| {
        let mac = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        let mac: String = mac
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        [("x-latchkey-signature", format!("t={at},v1={mac}"))]
    };
    assert_eq!(stage.push(&sign(now), &body).await, (200, sent(3)));
    let (status, replayed) = stage.push(&sign(now), &body).await;
    assert_eq!((status, problem(&replayed)), (401, "unauthenticated"));
    assert_eq!(stage.push(&sign(now - 301), &body).await.0, 401);
    assert_eq!(stage.push(&sign(now - 10), "{}").await.0, 401);
}

#[tokio::test]
async fn invalid_event_is_refused_with_its_fault() {
    let stage = PushStage::start().await;
    for (body, part) in [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{}", "`type`"),
        (r#"{"type":"x","to":{"tenant":true}}"#, "`data`"),
        (r#"{"type":"x","data":1}"#, "`to`"),
        (r#"{"type":"x","data":1,"to":{"tenant":false}}"#, "`to`"),
        (
            r#"{"type":"x","data":1,"to":{"tenant":true,"user":"a"}}"#,
            "`to`",
        ),
        (
            r#"{"type":"x","data":1,"to":{"tenant":true},"home":"a/b"}"#,
            "`home`",
        ),
        (
            r#"{"type":"x","data":1,"to":{"tenant":true},"except":"a"}"#,
            "`except`",
        ),
        (
            r#"{"type":"x","data":1,"to":{"tenant":true},"extra":1}"#,
            "`extra`",
        ),
        (r#"{"event_type":"call_service","data":{}}"#, "`event_type`"),
    ] {
        let bearer = [("authorization", format!("Bearer {SECRET}"))];
        let (status, answer) = stage.push(&bearer, body).await;
        assert_eq!((status, problem(&answer)), (400, "bad-request"), "{body}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{body}: {detail}");
    }
}
