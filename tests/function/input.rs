//! Whatever is sent is answered: with the right problem, never with an error of the function's, and the function lives
//! on.

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::{Stage, invoke, light, problem, sample};

use crate::events::still_the_same;

use crate::BOOTSTRAP;

/// A complete problem document of this name.
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
    // Direct callers look at `statusCode`; over HTTP it is the answer's own.
    if let Some(status_code) = document.get("statusCode") {
        assert_eq!(*status_code, status, "{of}");
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_such() {
    const FIVE_MB: usize = 5 << 20;
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    still_the_same(&stage, &function).await;
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
        // It says what is wrong and does not hand the payload back.
        assert!(invocation.body.len() < 2_000);
    }
    let large = format!(r#"{{"command":{{"type":"ping"}},"padding":"{filler}"}}"#);
    let invocation = function.invoke_raw(large).await.unwrap();
    let answer = testkit::answer(&invocation, "a large request");
    assert_problem(&answer, "message-too-large", "a large request");
    assert_eq!(answer["statusCode"], 413, "{answer}");
    // The emulator makes an empty object of no payload at all; Lambda does not let it through.
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
    assert_eq!(stage.home.counters().commands["ping"], 1, "only ours");
    still_the_same(&stage, &function).await;
}

#[tokio::test]
async fn what_only_the_home_can_judge_is_left_to_it() {
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
    still_the_same(&stage, &function).await;
}

async fn over_http(function: &Function, event: &Value) -> (u64, Value, Value) {
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
        let (answered, body, answer) = over_http(&function, &event(members)).await;
        assert_eq!(answered, status, "{answer}");
        assert_problem(&body, name, &shown);
        assert_eq!(body.get("statusCode"), None, "{body}");
        assert_eq!(
            answer["headers"]["content-type"],
            "application/problem+json"
        );
    }
    // Events of a known kind that are damaged.
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
    // Nobody looks at the others.
    let mut odd = sample("events/http-api-health.json");
    odd["requestContext"]["timeEpoch"] = json!("soon");
    assert_eq!(invoke(&function, &odd).await["statusCode"], 200);
    assert_eq!(stage.home.counters().commands.get("ping"), None);
    still_the_same(&stage, &function).await;
}

#[tokio::test]
async fn callers_over_http_are_refused_unless_told_otherwise() {
    let stage = Stage::builder().start().await;
    let options = stage.options(BOOTSTRAP).env("CALLER_AUTH", "jwt");
    let function = Function::start(options).await.unwrap();
    for event in [
        "events/http-api-command.json",
        "events/rest-api-command.json",
        "events/function-url-command.json",
        "tests/fixtures/events/alb-command.json",
    ] {
        let (status, body, answer) = over_http(&function, &sample(event)).await;
        assert_eq!(status, 401, "{event}: {answer}");
        assert_problem(&body, "unauthenticated", event);
        assert!(answer.to_string().contains("www-authenticate"), "{answer}");
    }
    assert!(stage.home.counters().service_calls.is_empty());
    // Health is anyone's, and whoever may invoke the function itself has proven enough.
    let (status, _, _) = over_http(&function, &sample("events/http-api-health.json")).await;
    assert_eq!(status, 200);
    still_the_same(&stage, &function).await;
}
