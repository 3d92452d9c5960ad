//! Answers to sample events.
//!
//! The function serves each event in `events/`. Each other event gets an answer in the form that its sender expects.

use std::collections::BTreeMap;

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::{Stage, invoke, sample};

use crate::input::assert_problem;

use crate::BOOTSTRAP;

/// Returns the status and the parsed body of an answer over HTTP.
fn http_answer(answer: &Value) -> (u64, Value) {
    let status = answer["statusCode"].as_u64();
    let body = answer["body"]
        .as_str()
        .and_then(|body| serde_json::from_str(body).ok());
    status
        .zip(body)
        .unwrap_or_else(|| panic!("no answer over HTTP: {answer}"))
}

#[tokio::test]
async fn every_sample_in_events_is_served() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    let mut served = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // This file contains variables for `sam local` and is not an event.
        if name == "sam-env.json" {
            continue;
        }
        let answer = invoke(&function, &sample(&format!("events/{name}"))).await;
        if name.starts_with("alexa") {
            assert!(
                answer["event"]["header"]["name"].is_string(),
                "{name}: {answer}"
            );
            served += 1;
            continue;
        }
        if name.starts_with("deadline") {
            assert_eq!(answer, json!({ "batchItemFailures": [] }), "{name}");
            served += 1;
            continue;
        }
        assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
        if name.starts_with("websocket") {
            // Only the answer to a message is a frame. The order of the samples is arbitrary.
            assert_eq!(answer.get("results"), None, "{name}: {answer}");
        } else if name.starts_with("rotate-token") {
            let state = answer["rotation"]["state"].as_str();
            let expected = match name.as_str() {
                "rotate-token-dry-run.json" => ["planned"; 2],
                // The old token may stay in use for ten more minutes.
                _ => ["draining", "nothing-to-do"],
            };
            assert!(
                state.is_some_and(|state| expected.contains(&state)),
                "{name}: {answer}"
            );
        } else if name.starts_with("keep-warm") || name.starts_with("parameter-change") {
            assert_eq!(answer["token"]["valid"], true, "{name}: {answer}");
        } else if name.contains("health") {
            assert_eq!(
                http_answer(&answer).1["service"],
                "latchkey",
                "{name}: {answer}"
            );
        } else if name.contains("states") {
            assert!(http_answer(&answer).1.is_array(), "{name}: {answer}");
        } else {
            let reply = match answer.get("results") {
                Some(_) => answer.clone(),
                None => http_answer(&answer).1,
            };
            assert_eq!(reply["results"][0]["success"], true, "{name}: {answer}");
        }
        served += 1;
    }
    assert!(served >= 15, "the samples are missing");
}

#[tokio::test]
async fn every_event_fixture_is_classified_and_answered() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let triggers: BTreeMap<String, String> =
        serde_json::from_value(sample("tests/fixtures/events/expected.json")).unwrap();
    assert!(triggers.len() > 90, "the samples are missing");
    // These events replace or reload the token, so they run last.
    let (upkeep, others): (Vec<_>, Vec<_>) = triggers
        .iter()
        .partition(|(_, trigger)| matches!(trigger.as_str(), "rotate_token" | "parameter_change"));
    for (path, trigger) in others {
        let event = sample(&format!("tests/fixtures/events/{path}"));
        let answer = invoke(&function, &event).await;
        match trigger.as_str() {
            // Callers need no token here. Only a message has a frame as its answer.
            "websocket" => {
                assert_eq!(answer["statusCode"], 200, "{path}: {answer}");
                let has_frame = answer["body"].is_string();
                assert_eq!(has_frame, path.contains("default"), "{path}: {answer}");
            }
            // Messages of other senders are not kept.
            "queue" => assert_eq!(answer, json!({ "batchItemFailures": [] }), "{path}"),
            "unsupported" | "doctor" => {
                assert_problem(&answer, "unsupported-event", path);
                assert_eq!(answer["statusCode"], 400, "{path}");
            }
            // The simulated home does not support Alexa.
            "alexa" => assert_eq!(
                answer["event"]["payload"]["type"],
                if path.contains("accept-grant") {
                    "ACCEPT_GRANT_FAILED"
                } else {
                    "INTERNAL_ERROR"
                },
                "{path}: {answer}"
            ),
            "keep_warm" => assert_eq!(answer["token"]["valid"], true, "{path}: {answer}"),
            // This version rejects unknown options.
            "direct" => assert_eq!(
                answer["statusCode"],
                if path.contains("options") { 400 } else { 200 },
                "{path}: {answer}"
            ),
            "http_v1" | "http_v2" | "function_url" | "alb" => {
                let (status, body) = http_answer(&answer);
                match status {
                    200 => assert!(body.get("results").or(body.get("service")).is_some()),
                    404 => assert_problem(&body, "not-found", path),
                    _ => panic!("{path}: {answer}"),
                }
            }
            other => panic!("{path}: no trigger is called {other}"),
        }
    }
    assert_same_process(&stage, &function).await;
    assert!(!upkeep.is_empty());
    for (path, trigger) in upkeep {
        let answer = invoke(&function, &sample(&format!("tests/fixtures/events/{path}"))).await;
        match trigger.as_str() {
            "rotate_token" => assert!(
                answer["rotation"]["state"].is_string() || answer["statusCode"] == 400,
                "{path}: {answer}"
            ),
            _ => assert!(
                answer["ignored"] == true || answer["token"]["valid"] == true,
                "{path}: {answer}"
            ),
        }
    }
}

/// Asserts that the function still runs commands in its first process, with its first socket and its first token.
pub(crate) async fn assert_same_process(stage: &Stage, function: &Function) {
    let answer = invoke(function, &json!({ "command": { "type": "ping" } })).await;
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
    assert_eq!(stage.reads().await, 1);
    assert_eq!(stage.home.counters().auth_ok, 1);
}
