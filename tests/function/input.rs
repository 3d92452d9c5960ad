//! Answers to bad input. Each bad input gets the right problem document, and the function keeps running.

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::{Stage, invoke, light, problem, sample};

use crate::events::assert_same_process;

use crate::BOOTSTRAP;

/// Asserts that `document` is a complete problem document with this name. A failing test shows the request `of`.
pub(crate) fn assert_problem(document: &Value, name: &str, of: &str) {
    let of: String = of.chars().take(200).collect();
    assert_eq!(problem(document), name, "{of}: {document}");
    for member in ["type", "title", "detail", "action", "request_id"] {
        let text = document[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{of}: no {member} in {document}");
        assert!(text.len() < 1_000, "{of}: {member} is long: {document}");
    }
    let status = document["status"].as_u64().unwrap();
    assert!((400..600).contains(&status), "{of}: {document}");
    // Direct callers read `statusCode`. Over HTTP the response itself has the status.
    if let Some(status_code) = document.get("statusCode") {
        assert_eq!(*status_code, status, "{of}");
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn invalid_payload_gets_matching_problem() {
    const FIVE_MB: usize = 5 << 20;
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    assert_same_process(&stage, &function).await;
    let deep = nested(100_000);
    let filler = "x".repeat(FIVE_MB);
    let many = vec![json!({ "type": "ping" }); 101];
    let bad_request = [
        "{",
        "nonsense",
        "5 apples",
        &filler,
        "{\"command\":{\"type\":\"ping\"}} trailing",
        "{'command': {}}",
        "\u{feff}{}",
        r#"{"source":"keep-warm","source":"doctor"}"#,
        r#"{"command":{"type":"ping"},"surprise":1}"#,
        r#"{"command":{"type":"ping"},"commands":[]}"#,
        r#"{"command":{"type":"ping"},"home":"cabin"}"#,
        r#"{"commands":[]}"#,
        r#"{"commands":{"type":"ping"}}"#,
        r#"{"commands":null}"#,
        &format!(r#"{{"command":{deep}}}"#),
        &json!({ "commands": many }).to_string(),
    ]
    .map(|payload| (payload.to_owned(), "bad-request"));
    let unsupported = [
        "null",
        "true",
        "5",
        "[]",
        "\"keep-warm\"",
        "{}",
        r#"{"source":5}"#,
        r#"{"source":"keepwarm"}"#,
        r#"{"directive":{}}"#,
        r#"{"directive":{"header":{"namespace":"Other"}}}"#,
        r#"{"requestContext":null}"#,
        r#"{"Records":[{"body":"{}"}]}"#,
        &format!(r#"{{"x":{deep}}}"#),
        &format!(r#"{{"x":"{filler}"}}"#),
    ]
    .map(|payload| (payload.to_owned(), "unsupported-event"));
    let command_invalid = [
        r#"{"command":null}"#,
        r#"{"command":"ping"}"#,
        r#"{"command":["ping"]}"#,
        r#"{"command":{}}"#,
        r#"{"command":{"type":5}}"#,
        r#"{"command":{"type":""}}"#,
        r#"{"command":{"type":"ping","id":1}}"#,
        r#"{"command":{"type":"ping","id":null}}"#,
        r#"{"commands":[{"type":"ping"},{"type":"ping","id":99}]}"#,
        r#"{"command":{"type":"auth","access_token":"x"}}"#,
        r#"{"command":{"type":"subscribe_events"}}"#,
        r#"{"command":{"type":"render_template","template":"x"}}"#,
    ]
    .map(|payload| (payload.to_owned(), "command-invalid"));
    for (payload, name) in bad_request
        .into_iter()
        .chain(unsupported)
        .chain(command_invalid)
    {
        let invocation = function.invoke_raw(payload.clone()).await.unwrap();
        let answer = testkit::answer(&invocation, &payload);
        assert_problem(&answer, name, &payload);
        assert_eq!(answer["statusCode"], 400, "{answer}");
        // The answer describes the fault and does not contain the payload.
        assert!(invocation.body.len() < 2_000);
    }
    let large = format!(r#"{{"command":{{"type":"ping"}},"padding":"{filler}"}}"#);
    let invocation = function.invoke_raw(large).await.unwrap();
    let answer = testkit::answer(&invocation, "a large request");
    assert_problem(&answer, "message-too-large", "a large request");
    assert_eq!(answer["statusCode"], 413, "{answer}");
    // The emulator turns an empty payload into an empty object. Lambda rejects an empty payload.
    for payload in ["", " ", "\u{0}", "\"\\ud800\""] {
        let invocation = function.invoke_raw(payload).await.unwrap();
        let answer = testkit::answer(&invocation, payload);
        assert!(
            ["bad-request", "unsupported-event"].contains(&problem(&answer)),
            "{answer}"
        );
    }
    let invocation = function.invoke_raw(vec![0xff, 0xfe, 0x00]).await.unwrap();
    let answer = testkit::answer(&invocation, "not UTF-8");
    assert!(
        ["bad-request", "unsupported-event"].contains(&problem(&answer)),
        "{answer}"
    );
    assert_eq!(
        stage.home.counters().commands["ping"],
        1,
        "only the ping of this test"
    );
    assert_same_process(&stage, &function).await;
}

#[tokio::test]
async fn unknown_commands_and_data_are_forwarded_to_the_home() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let strange = json!({ "commands": [
        { "type": "no/such/command" },
        { "type": "\u{1f3e0} $(reboot) ../../etc" },
        { "type": "call_service", "domain": 5, "service": null },
        { "type": "ping", "extra": { "ids": [1, 2, 3] } },
        light("turn_on", "light.kitchen"),
    ] });
    let answer = invoke(&function, &strange).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 5);
    assert!(
        results.iter().all(|result| result["outcome"] == "answered"),
        "{answer}"
    );
    assert_eq!(results[0]["error"]["code"], "unknown_command");
    assert_eq!(results[1]["error"]["code"], "unknown_command");
    assert_eq!(results[2]["error"]["code"], "invalid_format");
    assert_eq!(results[4]["success"], true);
    assert_eq!(stage.home.state("light.kitchen").as_deref(), Some("on"));
    assert_same_process(&stage, &function).await;
}

/// Sends an HTTP event. Returns the status, the body and the whole answer.
async fn http_answer(function: &Function, event: &Value) -> (u64, Value, Value) {
    let answer = invoke(function, event).await;
    let status = answer["statusCode"].as_u64().unwrap();
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (status, body, answer)
}

#[tokio::test]
async fn bad_requests_over_http_get_problem_documents() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let event = |members: Value| {
        let mut event = sample("events/http-api-command.json");
        for (name, value) in members.as_object().unwrap() {
            let place = if name.starts_with('/') {
                name.clone()
            } else {
                format!("/{name}")
            };
            *event.pointer_mut(&place).unwrap() = value.clone();
        }
        event
    };
    for (members, status, name) in [
        (json!({ "body": "" }), 400, "bad-request"),
        (json!({ "body": null }), 400, "bad-request"),
        (json!({ "body": "nonsense" }), 400, "bad-request"),
        (json!({ "body": "[]" }), 400, "bad-request"),
        (json!({ "body": "{}" }), 400, "bad-request"),
        (json!({ "body": nested(100_000) }), 400, "bad-request"),
        (
            json!({ "body": format!(r#"{{"command":{}}}"#, nested(1_000)) }),
            400,
            "bad-request",
        ),
        (
            json!({ "body": r#"{"command":{"type":"ping","id":7}}"# }),
            400,
            "command-invalid",
        ),
        (
            json!({ "body": "/v8=", "isBase64Encoded": true }),
            400,
            "bad-request",
        ),
        (
            json!({ "rawPath": "/", "/requestContext/http/path": "/" }),
            404,
            "not-found",
        ),
        (
            json!({ "rawPath": "/comands", "/requestContext/http/path": "/comands" }),
            404,
            "not-found",
        ),
        (
            json!({ "/requestContext/http/method": "GET" }),
            405,
            "not-found",
        ),
        (
            json!({ "/requestContext/http/method": "DELETE" }),
            405,
            "not-found",
        ),
    ] {
        let shown = members.to_string();
        let (answered, body, answer) = http_answer(&function, &event(members)).await;
        assert_eq!(answered, status, "{answer}");
        assert_problem(&body, name, &shown);
        assert_eq!(body.get("statusCode"), None, "{body}");
        assert_eq!(
            answer["headers"]["content-type"],
            "application/problem+json"
        );
    }
    // These events are of a known kind and damaged.
    for (path, value) in [
        ("/requestContext/http", json!({})),
        ("/headers", json!(5)),
        ("/isBase64Encoded", json!("maybe")),
    ] {
        let mut damaged = sample("events/http-api-command.json");
        *damaged.pointer_mut(path).unwrap() = value;
        let answer = invoke(&function, &damaged).await;
        let status = answer["statusCode"].as_u64().unwrap();
        assert!((400..500).contains(&status), "{path}: {answer}");
    }
    // latchkey does not read the other members.
    let mut odd = sample("events/http-api-health.json");
    odd["requestContext"]["timeEpoch"] = json!("soon");
    assert_eq!(invoke(&function, &odd).await["statusCode"], 200);
    assert_eq!(stage.home.counters().commands.get("ping"), None);
    assert_same_process(&stage, &function).await;
}

#[tokio::test]
async fn unauthenticated_http_callers_are_rejected() {
    let stage = Stage::builder().start().await;
    let options = stage.options(BOOTSTRAP).env("CALLER_AUTH", "jwt");
    let function = Function::start(options).await.unwrap();
    for event in [
        "events/http-api-command.json",
        "events/rest-api-command.json",
        "events/function-url-command.json",
        "tests/fixtures/events/alb-command.json",
    ] {
        let (status, body, answer) = http_answer(&function, &sample(event)).await;
        assert_eq!(status, 401, "{event}: {answer}");
        assert_problem(&body, "unauthenticated", event);
        assert!(answer.to_string().contains("www-authenticate"), "{answer}");
    }
    assert!(stage.home.counters().service_calls.is_empty());
    // `GET /health` is public. A direct invocation needs no caller token.
    let (status, _, _) = http_answer(&function, &sample("events/http-api-health.json")).await;
    assert_eq!(status, 200);
    assert_same_process(&stage, &function).await;
}
