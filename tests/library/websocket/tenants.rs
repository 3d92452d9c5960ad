//! Two tenants with two homes: no field of a message lets one tenant reach the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use latchkey_dev::gateway::{GatewayOptions, WebSocketGateway};
use serde_json::{Value, json};
use testkit::asyncapi::check_frame;
use testkit::callers::{SECRET, SECRET_PARAMETER, request, token, variables};
use testkit::homes::{PREFIX, village};
use testkit::{Sandbox, Socket, SocketClient, seed};

/// The number of random frames.
const FRAMES: usize = 5_000;

/// Returns a random message. Each field that a caller controls may name the other tenant.
fn message(random: &mut fastrand::Rng, number: usize) -> Value {
    let names = ["house", "cabin", "light.kitchen", "anna", "ben", "*", ""];
    let mut name = || names[random.usize(..names.len())];
    let (one, two, three) = (name(), name(), name());
    let kinds = [
        "get_states",
        "get_config",
        "get_services",
        "call_service",
        "ping",
        "watch",
        "unwatch",
        "auth/refresh_tokens",
        "subscribe_events",
        "supported_features",
        "history/history_during_period",
    ];
    let kind = kinds[random.usize(..kinds.len())];
    let service = ["toggle", "turn_on"][random.usize(..2)];
    let entity_id = ["light.kitchen", three][random.usize(..2)];
    let mut members = json!({
        "home": one,
        "tenant": two,
        "domain": "light",
        "service": service,
        "target": { "entity_id": entity_id },
        "resources": [three, "light.kitchen"],
        "entity_ids": ["light.kitchen"],
        "start_time": "2026-01-01T00:00:00Z",
    });
    // Home Assistant rejects unknown members, so most messages have only some of them.
    let object = members.as_object_mut().unwrap();
    let all: Vec<String> = object.keys().cloned().collect();
    for name in all {
        let is_needed = kind == "call_service" && ["domain", "service", "target"].contains(&&*name);
        if !is_needed && random.u8(..4) > 0 {
            object.remove(&name);
        }
    }
    if random.bool() {
        return json!({
            "id": format!("{one}-{number}"), "type": kind, "timestamp": two, "payload": members,
        });
    }
    members["id"] = json!(number + 1);
    members["type"] = json!(kind);
    members
}

#[tokio::test]
async fn no_field_of_a_message_reaches_another_tenant() {
    let (aws, [house, cabin]) = village(["house", "cabin"]).await;
    aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
    let sandbox = Sandbox::builder().aws(&aws).envs(variables(""));
    let app = sandbox
        .env("HOMES_PARAMETER_PREFIX", PREFIX)
        .env("METRICS", "off")
        .env("CALLER_RATE_LIMITS", "*=unlimited")
        .env("CALLER_CONNECTION_LIMITS", "*=1000/1000/1000/100000")
        .start()
        .await;
    let gateway = WebSocketGateway::start(GatewayOptions::default(), Arc::new(app.clone()));
    let gateway = gateway.await.unwrap();
    // The other tenant watches and listens, and must hear nothing.
    let ben = token(&["admin"], &json!({"sub": "ben", "tenant": "cabin"}));
    let bearer = format!("Bearer {ben}");
    let listener = SocketClient::connect(&gateway.url(), &[("authorization", &bearer)]).await;
    let mut listener = listener.unwrap_or_else(|status| panic!("{status}"));
    let watch = json!({"id": "w", "type": "watch", "payload": {"resources": ["light.kitchen"]}});
    assert_eq!(listener.ask(&watch).await["success"], true);
    let before = cabin.home.counters();

    let anna = token(&["admin"], &json!({"sub": "anna", "tenant": "house"}));
    let socket = Socket::new("anna");
    let opened = app.handle(&socket.connect_with(&anna)).await;
    assert_eq!(opened["statusCode"], 200);
    let mut random = fastrand::Rng::with_seed(seed::seed());
    let mut kinds = BTreeSet::new();
    for number in 0..FRAMES {
        let message = message(&mut random, number);
        let reply = app.handle(&socket.message(&message)).await;
        assert_eq!(reply["statusCode"], 200, "{message}");
        let frame = reply["body"].as_str().unwrap_or("null");
        assert!(!frame.contains(&cabin.token), "{message}: {frame}");
        let frame: Value = serde_json::from_str(frame).unwrap();
        check_frame(&frame).unwrap();
        kinds.insert(format!("{} {}", message["type"], frame["type"]));
        if number % 100 == 0 {
            let event = json!({"home": "cabin", "type": "x", "data": 1, "to": {"tenant": true}});
            let pushed = app
                .handle(&request("POST", "/events", Some(&anna), Some(&event)))
                .await;
            assert_eq!(pushed["statusCode"], 403, "{pushed}");
        }
    }
    assert!(kinds.len() > 12, "{kinds:?}");
    assert!(house.toggles() > 20, "{}", house.toggles());
    let after = cabin.home.counters();
    assert_eq!(after.service_calls.len(), before.service_calls.len());
    assert_eq!(after.tcp_connections, before.tcp_connections);
    house.assert_saw_only_its_own_token();
    // An administrator without a tenant cannot select one.
    let nobody = token(&["admin"], &json!({"sub": "nobody"}));
    let event = json!({"home": "cabin", "type": "x", "data": 1, "to": {"tenant": true}});
    let pushed = request("POST", "/events", Some(&nobody), Some(&event));
    assert_eq!(app.handle(&pushed).await["statusCode"], 403);
    // The first frame after the answer to the watch is the answer to this ping.
    assert_eq!(
        listener.ask(&json!({"id": "p", "type": "ping"})).await["type"],
        "pong"
    );
}
