//! Commands over the WebSocket and over REST.

use futures_util::SinkExt;
use latchkey_dev::home::{HomeOptions, ServiceCall, SimulatedHome, SocketFault};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{ask, auth, connect, http, log_in, next, receive, send, start, turn_on};

#[tokio::test]
async fn command_changes_a_state_and_is_counted_once() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("test")).await;
    assert_eq!(home.state("light.kitchen").as_deref(), Some("off"));

    let reply = ask(&mut socket, turn_on(1, "light.kitchen")).await;

    assert_eq!(reply["id"], 1);
    assert_eq!(reply["success"], true);
    assert!(reply["result"]["context"]["id"].is_string());
    assert_eq!(home.state("light.kitchen").as_deref(), Some("on"));
    let counters = home.counters();
    assert_eq!(
        counters.service_calls,
        [ServiceCall {
            domain: "light".to_owned(),
            service: "turn_on".to_owned(),
            entity_ids: vec!["light.kitchen".to_owned()],
            data: json!({"entity_id": "light.kitchen"}),
        }]
    );
    assert_eq!(counters.calls_of("light", "turn_on", "light.kitchen"), 1);
    assert_eq!((counters.auth_ok, counters.open_sockets), (1, 1));
}

#[tokio::test]
async fn services_change_states_by_domain() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("test")).await;
    for (id, (service, entity_id, state)) in (1_u64..).zip([
        ("toggle", "light.kitchen", "on"),
        ("toggle", "light.kitchen", "off"),
        ("unlock", "lock.front_door", "unlocked"),
        ("lock", "lock.front_door", "locked"),
        ("open_cover", "cover.garage_door", "open"),
        ("close_cover", "cover.garage_door", "closed"),
        ("toggle", "cover.garage_door", "open"),
        ("turn_off", "switch.garden_pump", "off"),
    ]) {
        let domain = entity_id.split('.').next().unwrap();
        let call = json!({
            "id": id, "type": "call_service", "domain": domain, "service": service,
            "service_data": {"entity_id": [entity_id]},
        });
        assert_eq!(ask(&mut socket, call).await["success"], true);
        assert_eq!(home.state(entity_id).as_deref(), Some(state), "{service}");
    }
}

#[tokio::test]
async fn invalid_command_gets_the_error_code_of_home_assistant() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("test")).await;
    let call = |fields: Value| {
        let mut call = turn_on(1, "light.kitchen");
        let fields = fields.as_object().unwrap().clone();
        call.as_object_mut().unwrap().extend(fields);
        call
    };
    for (command, code) in [
        (json!({"id": 1, "type": "no_such"}), "unknown_command"),
        (json!({"id": 0, "type": "ping"}), "invalid_format"),
        (json!({"id": "1", "type": "ping"}), "invalid_format"),
        (json!({"type": "ping"}), "invalid_format"),
        (json!("ping"), "invalid_format"),
        // An unknown command does not use its id. Another failed command does.
        (call(json!({"service": "explode"})), "not_found"),
        (json!({"id": 1, "type": "ping"}), "id_reuse"),
        (call(json!({"id": 2, "target": {}})), "invalid_format"),
        (
            call(json!({"id": 3, "service_data": {"no_such": 1}})),
            "invalid_format",
        ),
        (
            call(json!({"id": 4, "target": {"entity_id": "kitchen"}})),
            "invalid_format",
        ),
        (call(json!({"id": 5, "no_such": 1})), "invalid_format"),
        (
            json!({"id": 6, "type": "unsubscribe_events", "subscription": 9}),
            "not_found",
        ),
    ] {
        let reply = ask(&mut socket, command.clone()).await;
        assert_eq!(reply["type"], "result", "{command}");
        assert_eq!(reply["success"], false, "{command}");
        assert_eq!(reply["error"]["code"], code, "{command}");
        assert!(reply["error"]["message"].is_string());
    }
    assert_eq!(home.counters().service_calls, []);
    let unknown_entity = ask(&mut socket, turn_on(7, "light.no_such")).await;
    assert_eq!(unknown_entity["success"], true);
}

#[tokio::test]
async fn commands_can_follow_auth_at_once_and_arrive_in_arrays() {
    let home = start().await;
    let token = home.mint_token("test");
    let mut socket = connect(&home).await.unwrap();
    let list = json!([
        {"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}},
        turn_on(2, "light.kitchen"),
        {"id": 3, "type": "ping"},
    ]);
    for message in [auth(&token), turn_on_first(), list] {
        let message = Message::text(message.to_string());
        socket.feed(message).await.unwrap();
    }
    socket.flush().await.unwrap();

    assert_eq!(receive(&mut socket).await["type"], "auth_required");
    assert_eq!(receive(&mut socket).await["type"], "auth_ok");
    assert_eq!(
        receive(&mut socket).await["error"]["code"],
        "unknown_command"
    );
    let replies = receive(&mut socket).await;
    let ids: Vec<_> = replies
        .as_array()
        .unwrap()
        .iter()
        .map(|reply| &reply["id"])
        .collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(replies[2], json!({"id": 3, "type": "pong"}));
    assert_eq!(home.counters().pings(), 1);
}

fn turn_on_first() -> Value {
    json!({"id": 1, "type": "no_such"})
}

#[tokio::test]
async fn event_arrives_before_the_result_of_its_command() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("test")).await;
    let subscribe = json!({"id": 1, "type": "subscribe_events", "event_type": "state_changed"});
    let reply = ask(&mut socket, subscribe).await;
    assert_eq!(
        reply,
        json!({"id": 1, "type": "result", "success": true, "result": null})
    );

    let event = ask(&mut socket, turn_on(2, "light.kitchen")).await;
    assert_eq!((&event["id"], &event["type"]), (&json!(1), &json!("event")));
    assert_eq!(event["event"]["data"]["new_state"]["state"], "on");
    assert_eq!(receive(&mut socket).await["id"], 2);

    home.set_state("sensor.outdoor_temperature", "12");
    let event = receive(&mut socket).await;
    assert_eq!(event["event"]["data"]["old_state"]["state"], "11.5");

    let unsubscribe = json!({"id": 3, "type": "unsubscribe_events", "subscription": 1});
    assert_eq!(ask(&mut socket, unsubscribe).await["success"], true);
    home.set_state("sensor.outdoor_temperature", "13");
    let pong = ask(&mut socket, json!({"id": 4, "type": "ping"})).await;
    assert_eq!(pong["type"], "pong");
}

#[tokio::test]
async fn states_bytes_sets_the_size_of_states() {
    let options = HomeOptions {
        states_bytes: Some(5_000_000),
        ..HomeOptions::default()
    };
    let home = SimulatedHome::start(options).await.unwrap();
    let token = home.mint_token("test");
    let mut socket = log_in(&home, &token).await;
    send(&mut socket, json!({"id": 1, "type": "get_states"})).await;
    let message = next(&mut socket).await.unwrap();
    assert!((5_000_000..5_010_000).contains(&message.len()));
    let reply: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
    assert!(reply["result"].as_array().unwrap().len() > 4000);

    let config = ask(&mut socket, json!({"id": 2, "type": "get_config"})).await;
    assert_eq!(config["result"]["version"], "2025.4.4");
    let services = ask(&mut socket, json!({"id": 3, "type": "get_services"})).await;
    assert!(services["result"]["lock"]["unlock"].is_object());
}

#[tokio::test]
async fn rest_routes_work_over_one_connection() {
    let home = start().await;
    let token = home.mint_token("test");
    let http = http();
    let get = async |path: &str| {
        let request = http
            .get(format!("{}{path}", home.url()))
            .bearer_auth(&token);
        let response = request.send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    assert_eq!(
        get("/api/").await,
        (200, json!({"message": "API running."}))
    );
    assert_eq!(
        get("/api/config").await.1["location_name"],
        "Simulated home"
    );
    assert_eq!(get("/api/states").await.1.as_array().unwrap().len(), 11);
    assert_eq!(
        get("/api/states/lock.front_door").await.1["state"],
        "locked"
    );
    assert_eq!(
        get("/api/states/lock.no_such").await,
        (404, json!({"message": "Entity not found."}))
    );
    assert!(get("/api/services").await.1.is_array());

    let post = async |path: &str, body: &Value| {
        let request = http.post(format!("{}/api/services{path}", home.url()));
        request.bearer_auth(&token).json(body).send().await.unwrap()
    };
    let target = json!({"entity_id": "light.kitchen"});
    let changed: Value = post("/light/turn_on", &target).await.json().await.unwrap();
    assert_eq!(changed[0]["state"], "on");
    assert_eq!(post("/light/explode", &target).await.status(), 400);
    assert_eq!(post("/light/turn_on", &json!({})).await.status(), 400);

    let counters = home.counters();
    assert_eq!(counters.tcp_connections, 1);
    assert_eq!(
        (counters.config_checks, counters.requests("/api/config")),
        (1, 1)
    );
    assert_eq!(counters.presented(&token), 9);
    assert_eq!(counters.service_calls.len(), 1);
}

#[tokio::test]
async fn held_replies_arrive_in_reverse_or_as_an_array() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("test")).await;
    home.set_fault_times(SocketFault::OutOfOrder(3), 1);
    for id in 1..=3 {
        send(&mut socket, json!({"id": id, "type": "ping"})).await;
    }
    for id in [3, 2, 1, 4] {
        if id == 4 {
            send(&mut socket, json!({"id": 4, "type": "ping"})).await;
        }
        assert_eq!(receive(&mut socket).await["id"], id);
    }
    home.set_fault(SocketFault::Coalesce(2));
    for id in 5..=6 {
        send(&mut socket, json!({"id": id, "type": "ping"})).await;
    }
    let replies = receive(&mut socket).await;
    assert_eq!(
        replies,
        json!([{"id": 5, "type": "pong"}, {"id": 6, "type": "pong"}])
    );
}
