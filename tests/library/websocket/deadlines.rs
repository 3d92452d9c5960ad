//! Deadlines without any message of the client, through a gateway: authentication, expiry, and lost connections.

use std::sync::Arc;
use std::time::Duration;

use latchkey_dev::gateway::{GatewayOptions, WebSocketGateway};
use latchkey_dev::stack::QueuePoller;
use serde_json::{Map, Value, json};
use testkit::callers::{token, variables};
use testkit::{KEEP_WARM, Received, Sandbox, SocketClient, Stage};

use super::SocketStage;

/// A stage behind a gateway. Keep-warm events enforce the deadlines.
struct GatewayStage {
    stage: SocketStage,
    gateway: WebSocketGateway,
}

impl GatewayStage {
    async fn start(more: &[(&str, &str)]) -> Self {
        let stage = SocketStage::with(more).await;
        let function = Arc::new(stage.app.clone());
        let gateway = WebSocketGateway::start(GatewayOptions::default(), function).await;
        Self {
            stage,
            gateway: gateway.unwrap(),
        }
    }

    async fn connect(&self) -> SocketClient {
        let client = SocketClient::connect(&self.gateway.url(), &[]).await;
        client.unwrap_or_else(|status| panic!("refused with {status}"))
    }

    async fn connect_with(&self, token: &str) -> SocketClient {
        let bearer = format!("Bearer {token}");
        let client =
            SocketClient::connect(&self.gateway.url(), &[("authorization", &bearer)]).await;
        client.unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// Lets time pass, and sends the keep-warm event that looks after connections.
    async fn pass(&self, seconds: u64) {
        self.stage.pass(seconds);
        self.stage.app.handle(KEEP_WARM).await;
    }
}

fn auth(token: &str) -> Value {
    json!({"type": "auth", "id": "a", "payload": {"token": token}})
}

#[tokio::test]
async fn silent_connection_is_closed_after_five_seconds() {
    for lost in [false, true] {
        let stage = GatewayStage::start(&[]).await;
        stage.gateway.lose_disconnects(lost);
        let mut silent = stage.connect().await;
        let mut good = stage.connect().await;
        let ok = good.ask(&auth(&token(&["admin"], &json!({})))).await;
        assert_eq!(ok["type"], "auth_ok");
        stage.pass(4).await;
        assert_eq!(stage.gateway.connections().len(), 2);
        stage.pass(1).await;
        let last = silent.next().await.message();
        assert_eq!(
            (
                &last["type"],
                &last["code"],
                &last["id"],
                &last["reconnect"]
            ),
            (&json!("error"), &json!(4001), &Value::Null, &json!(true))
        );
        assert!(matches!(silent.next().await, Received::Closed(_)));
        assert_eq!(
            good.ask(&json!({"id": 1, "type": "ping"})).await["type"],
            "pong"
        );
        stage.gateway.wait_for(|counters| counters.ended == 1).await;
        assert_eq!(stage.stage.statistics().await["connections"], 1);
    }
}

#[tokio::test]
async fn expiry_is_announced_to_envelopes_and_closes_every_connection() {
    let stage = GatewayStage::start(&[]).await;
    let mut envelope = stage.connect().await;
    let mut plain = stage.connect().await;
    let jwt = token(&["admin"], &json!({}));
    assert_eq!(envelope.ask(&auth(&jwt)).await["type"], "auth_ok");
    let ok = plain
        .ask(&json!({"type": "auth", "access_token": jwt}))
        .await;
    assert_eq!(ok["type"], "auth_ok");
    // Fifty-nine minutes, in the steps of keep-warm events.
    for _ in 0..11 {
        stage.pass(300).await;
    }
    stage.pass(245).await;
    let expiring = envelope.next().await.message();
    assert_eq!(
        (&expiring["type"], &expiring["reason"]),
        (&json!("auth_required"), &json!("expiring"))
    );
    assert!(expiring["expires_in"].as_u64().unwrap() <= 60, "{expiring}");
    stage.pass(60).await;
    let expired = envelope.next().await.message();
    assert_eq!(
        (&expired["reason"], &expired["expires_in"]),
        (&json!("expired"), &json!(0))
    );
    assert_eq!(stage.gateway.connections().len(), 2);
    stage.pass(30).await;
    for client in [&mut envelope, &mut plain] {
        let last = client.next().await.message();
        assert_eq!(
            (&last["code"], &last["reconnect"]),
            (&json!(4003), &json!(true)),
            "{last}"
        );
        assert!(matches!(client.next().await, Received::Closed(_)));
    }
    assert_eq!(stage.stage.statistics().await["connections"], 0);
}

#[tokio::test]
async fn renewed_token_moves_the_deadline() {
    let stage = GatewayStage::start(&[]).await;
    let mut client = stage.connect_with(&token(&["admin"], &json!({}))).await;
    let later = token(&["admin"], &json!({"exp": 4_000_000_000_u64}));
    assert_eq!(client.ask(&auth(&later)).await["type"], "auth_ok");
    for _ in 0..13 {
        stage.pass(300).await;
    }
    assert_eq!(
        client.ask(&json!({"id": "p", "type": "ping"})).await["type"],
        "pong"
    );
}

#[tokio::test]
async fn row_of_a_lost_connection_is_removed_by_the_next_look() {
    let stage = GatewayStage::start(&[]).await;
    stage.gateway.lose_disconnects(true);
    let client = stage.connect_with(&token(&["admin"], &json!({}))).await;
    client.vanish();
    stage.gateway.wait_for(|counters| counters.ended == 1).await;
    assert_eq!(stage.stage.statistics().await["connections"], 1);
    stage.pass(300).await;
    assert_eq!(stage.stage.statistics().await["connections"], 0);
}

#[tokio::test]
async fn other_caller_on_an_open_connection_is_refused_and_closed() {
    let stage = GatewayStage::start(&[]).await;
    let mut client = stage.connect_with(&token(&["admin"], &json!({}))).await;
    let last = client
        .ask(&auth(&token(&["admin"], &json!({"sub": "other"}))))
        .await;
    assert_eq!(
        (&last["code"], &last["reconnect"]),
        (&json!(1008), &json!(false)),
        "{last}"
    );
    assert!(matches!(client.next().await, Received::Closed(_)));
}

#[tokio::test]
async fn invalid_first_token_ends_the_connection_in_both_dialects() {
    let stage = GatewayStage::start(&[]).await;
    let expired = token(&["admin"], &json!({"exp": 1_700_000_000}));
    for (message, code) in [
        (auth("nonsense"), 4002),
        (auth(&expired), 4003),
        (json!({"id": "x", "type": "get_states"}), 4001),
    ] {
        let mut client = stage.connect().await;
        let last = client.ask(&message).await;
        assert_eq!(
            (&last["type"], &last["code"]),
            (&json!("error"), &json!(code)),
            "{last}"
        );
        assert!(matches!(client.next().await, Received::Closed(_)));
    }
    for message in [
        json!({"type": "auth", "access_token": "nonsense"}),
        json!({"id": 1, "type": "get_states"}),
    ] {
        let mut client = stage.connect().await;
        let last = client.ask(&message).await;
        assert_eq!(last["type"], "auth_invalid", "{last}");
        assert!(last["message"].is_string());
        assert!(matches!(client.next().await, Received::Closed(_)));
    }
    stage
        .gateway
        .wait_for(|counters| counters.disconnects == 5)
        .await;
}

#[tokio::test]
async fn queue_greets_and_closes_a_silent_connection() {
    let Stage { home, aws, .. } = Stage::builder().callers().table("latchkey").start().await;
    let url = home.url();
    let queue = aws.create_queue("deadlines").await.unwrap();
    let sandbox = Sandbox::builder().aws(&aws).envs(variables(&url));
    let app = sandbox
        .env("METRICS", "off")
        .env("TABLE_NAME", "latchkey")
        .env("WEBSOCKET_AUTH_SECONDS", "4")
        .env("DEADLINE_QUEUE_URL", &queue)
        .start()
        .await;
    let function = Arc::new(app);
    let _mapping = QueuePoller::start(&aws, queue, function.clone());
    let options = GatewayOptions::default();
    let gateway = WebSocketGateway::start(options, function).await.unwrap();
    gateway.lose_disconnects(true);
    let mut silent = SocketClient::connect(&gateway.url(), &[])
        .await
        .unwrap_or_else(|status| panic!("{status}"));
    let greeting = silent.next().await.message();
    assert_eq!(
        (&greeting["type"], &greeting["reason"]),
        (&json!("auth_required"), &json!("unauthenticated"))
    );
    assert!(greeting["ha_version"].is_string() && greeting.get("id").is_some());
    let last = silent.next().await.message();
    assert_eq!(last["code"], 4001, "{last}");
    assert!(matches!(silent.next().await, Received::Closed(_)));
    // The row is removed while the connection is closed.
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    loop {
        let items = aws.items("latchkey").await.unwrap();
        let pk = |item: &Map<String, Value>| item["pk"].as_str().unwrap().to_owned();
        if !items.iter().any(|item| pk(item).starts_with("connection#")) {
            break;
        }
        poll.tick().await;
    }
}
