//! Tests of each route with an anonymous caller, an expired or forged token, and a token with and without permission.

use serde_json::{Value, json};
use testkit::callers::{request, run, token};
use testkit::{light, problem};

use super::DoorStage;

const LIGHT: &str = "light.kitchen";

#[tokio::test]
async fn request_without_a_valid_token_is_unauthenticated() {
    let stage = DoorStage::start().await;
    let command = light("turn_on", LIGHT);
    let good = token(&["admin"], &json!({}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for bad in [
        None,
        Some(String::new()),
        Some("nonsense".to_owned()),
        Some(forged),
        Some(token(&["admin"], &json!({"exp": 1_700_000_000}))),
        Some(token(&["admin"], &json!({"iss": "https://other.example"}))),
        Some(token(&["admin"], &json!({"aud": "other"}))),
        Some(token(&["admin"], &json!({"sub": null}))),
    ] {
        for asked in [
            run(bad.as_deref(), &command),
            request("GET", "/health/detailed", bad.as_deref(), None),
        ] {
            let (status, body) = stage.ask(&asked).await;
            assert_eq!(status, 401, "{bad:?}: {body}");
            assert_eq!(problem(&body), "unauthenticated", "{body}");
        }
    }
    // The requests did not reach the home, and the public health endpoint still answers.
    assert_eq!(stage.home.counters().tcp_connections, 0);
    let (status, body) = stage.ask(&request("GET", "/health", None, None)).await;
    assert_eq!((status, &body["service"]), (200, &json!("latchkey")));
}

#[tokio::test]
async fn caller_runs_only_commands_that_the_token_permits() {
    let stage = DoorStage::start().await;
    for (permissions, command, status) in [
        (
            vec!["call:light.turn_on:light.kitchen"],
            light("turn_on", LIGHT),
            200,
        ),
        (vec!["call:light.*:light.*"], light("toggle", LIGHT), 200),
        (
            vec!["call:light.turn_on:light.bedroom"],
            light("turn_on", LIGHT),
            403,
        ),
        (vec!["call:light.turn_off"], light("turn_on", LIGHT), 403),
        (vec!["read"], light("turn_on", LIGHT), 403),
        (vec![], light("turn_on", LIGHT), 403),
        (vec!["admin"], light("turn_on", LIGHT), 200),
        (vec!["read"], json!({"type": "get_states"}), 200),
        (vec!["read:light.*"], json!({"type": "get_states"}), 200),
        (
            vec!["call:light.turn_on"],
            json!({"type": "get_states"}),
            403,
        ),
        (
            vec!["read", "call:*"],
            json!({"type": "auth/refresh_tokens"}),
            403,
        ),
        (vec!["read", "call:*"], json!({"type": "fire_event"}), 403),
        (
            vec!["call:*"],
            json!({"type": "call_service", "domain": "homeassistant", "service": "restart"}),
            403,
        ),
    ] {
        let before = stage.home.counters().service_calls.len();
        let jwt = token(&permissions, &json!({}));
        let (seen, body) = stage.ask(&run(Some(&jwt), &command)).await;
        assert_eq!(seen, status, "{permissions:?} {command}: {body}");
        let executed = stage.home.counters().service_calls.len() - before;
        let is_call = command["type"] == "call_service";
        assert_eq!(executed, usize::from(status == 200 && is_call), "{command}");
        if status == 403 {
            assert_eq!(problem(&body), "forbidden");
            assert!(body["detail"].as_str().unwrap().contains("permission"));
        }
    }
}

/// If one command of a batch is not allowed, no command of the batch runs.
#[tokio::test]
async fn batch_with_one_forbidden_command_is_rejected() {
    let stage = DoorStage::start().await;
    let jwt = token(&["call:light.turn_on:light.kitchen"], &json!({}));
    let batch = json!({ "commands": [light("turn_on", LIGHT), light("turn_on", "light.bedroom")] });
    let (status, body) = stage
        .ask(&request("POST", "/commands", Some(&jwt), Some(&batch)))
        .await;
    assert_eq!(status, 403, "{body}");
    assert!(stage.home.counters().service_calls.is_empty());
}

#[tokio::test]
async fn caller_gets_only_states_with_read_permission() {
    let stage = DoorStage::start().await;
    let jwt = token(&["read:light.*"], &json!({}));
    let (_, body) = stage
        .ask(&run(Some(&jwt), &json!({"type": "get_states"})))
        .await;
    let states = body["results"][0]["result"].as_array().unwrap();
    assert!(!states.is_empty());
    assert!(
        states
            .iter()
            .all(|state| state["entity_id"].as_str().unwrap().starts_with("light.")),
        "{body}"
    );
}

#[tokio::test]
async fn detailed_health_needs_its_permission() {
    let stage = DoorStage::start().await;
    for (permissions, status) in [
        (vec!["read", "call:*"], 403),
        (vec!["health:read"], 200),
        (vec!["admin"], 200),
    ] {
        let jwt = token(&permissions, &json!({}));
        let asked = request("GET", "/health/detailed", Some(&jwt), None);
        assert_eq!(stage.ask(&asked).await.0, status, "{permissions:?}");
    }
    let jwt = token(&["admin"], &json!({}));
    stage.ask(&run(Some(&jwt), &json!({"type": "ping"}))).await;
    let asked = request("GET", "/health/detailed", Some(&jwt), None);
    let (_, report) = stage.ask(&asked).await;
    let home = &report["homes"][0];
    assert_eq!(report["status"], "healthy", "{report}");
    assert_eq!(home["verdict"]["outcome"], "ok");
    assert_eq!(home["session"]["state"], "ready");
    assert_eq!(home["breaker"], "closed");
    assert_eq!(home["token"]["version"], 1);
    assert_eq!(home["token"]["fingerprint"].as_str().unwrap().len(), 8);
}

/// The same key of two callers names two requests. A caller never gets the outcome of another caller.
#[tokio::test]
async fn idempotency_key_belongs_to_its_caller() {
    let stage = DoorStage::start().await;
    let body = json!({ "command": light("toggle", LIGHT), "idempotency_key": "k" });
    let ask = |subject: &str| {
        let jwt = token(&["admin"], &json!({ "sub": subject }));
        request("POST", "/commands", Some(&jwt), Some(&body))
    };
    for (subject, executed) in [("a", 1), ("a", 1), ("b", 2), ("b", 2)] {
        let (status, answer) = stage.ask(&ask(subject)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(stage.home.counters().service_calls.len(), executed);
    }
}

#[tokio::test]
async fn authentication_successes_and_failures_are_counted() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let ping = json!({"type": "ping"});
    stage.ask(&run(Some(&jwt), &ping)).await;
    stage.ask(&run(Some("nonsense"), &ping)).await;
    stage.ask(&run(None, &ping)).await;
    stage.app.deliver_metrics().await;
    let metrics = stage.aws.metrics("Door").await.unwrap();
    let sum = |name: &str| -> f64 {
        let of_name = metrics.iter().filter(|metric| metric.name == name);
        of_name.map(latchkey_dev::stack::Metric::sum).sum()
    };
    assert_eq!(
        (sum("CallerAuthSuccess"), sum("CallerAuthFailure")),
        (1.0, 2.0)
    );
}

#[tokio::test]
async fn missing_jwt_secret_gets_503_and_not_401() {
    let stage = DoorStage::start().await;
    stage
        .aws
        .delete_parameter(testkit::callers::SECRET_PARAMETER)
        .await
        .unwrap();
    let jwt = token(&["admin"], &json!({}));
    let (status, body) = stage.ask(&run(Some(&jwt), &json!({"type": "ping"}))).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(problem(&body), "token-source-unavailable");
    let _: Value = body;
}
