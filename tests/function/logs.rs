//! Log output: one JSON object per line, and one line per error.

use latchkey_dev::home::{Break, RestFault, SocketFault, SocketStage};
use latchkey_dev::stack::{Fault, Function};
use serde_json::{Map, Value, json};
use testkit::{GET_PARAMETER, Stage, invoke, sample};

use crate::BOOTSTRAP;

/// Returns the lines that the function printed, without the lines of the emulator.
fn printed(log: &str) -> Vec<&str> {
    let of_the_emulator = |line: &str| {
        line.starts_with("START RequestId: ")
            || line.starts_with("END RequestId: ")
            || line.starts_with("REPORT RequestId: ")
            || line.contains("[INFO] (rapid) ")
            || line.contains("[WARNING] ")
            || line.trim().is_empty()
    };
    log.lines().filter(|line| !of_the_emulator(line)).collect()
}

fn parsed(log: &str) -> Vec<Map<String, Value>> {
    let parse = |line: &str| match serde_json::from_str(line) {
        Ok(Value::Object(line)) => line,
        _ => panic!("not a JSON object: {line}"),
    };
    printed(log).into_iter().map(parse).collect()
}

/// Sends requests that succeed, requests that are rejected and requests that fail.
async fn send_all_kinds_of_requests(stage: &Stage, function: &Function) {
    let command = json!({ "command": { "type": "ping" } });
    let throttled = Fault::new(GET_PARAMETER, "AccessDeniedException");
    stage.aws.inject(&throttled).await.unwrap();
    invoke(function, &command).await;
    stage.aws.clear_faults().await.unwrap();
    stage.home.set_fault(RestFault::Status(403));
    invoke(function, &command).await;
    stage.home.clear_faults();
    invoke(function, &command).await;
    invoke(function, &json!({ "source": "keep-warm" })).await;
    invoke(function, &sample("events/http-api-command.json")).await;
    invoke(function, &json!({})).await;
    function.invoke_raw("not JSON").await.unwrap();
    stage.revoke().await;
    invoke(function, &command).await;
}

#[tokio::test]
async fn log_lines_are_json_and_errors_name_category_and_stage() {
    let stage = Stage::builder().start().await;
    let function = Function::start(stage.options(BOOTSTRAP).env("LOG_LEVEL", "trace"))
        .await
        .unwrap();
    send_all_kinds_of_requests(&stage, &function).await;
    let lines = parsed(&function.stop().await);
    for line in &lines {
        for member in ["timestamp", "level", "message"] {
            assert!(line[member].is_string(), "no {member} in {line:?}");
        }
    }
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    let mut categories = Vec::new();
    for line in &errors {
        for member in ["category", "stage", "request_id", "error"] {
            let text = line.get(member).and_then(Value::as_str).unwrap_or_default();
            assert!(!text.is_empty(), "no {member} in {line:?}");
        }
        categories.push(line["category"].as_str().unwrap());
    }
    // Each error is logged on one line.
    assert_eq!(
        categories,
        ["token-source-unavailable", "home-banned", "token-rejected"]
    );
    let fetched = lines
        .iter()
        .find(|line| line["message"] == "token fetched")
        .unwrap();
    assert_eq!(fetched["fingerprint"].as_str().unwrap().len(), 8);
    assert_eq!(fetched["version"], 1);
}

#[tokio::test]
async fn log_level_and_text_format_are_applied() {
    let stage = Stage::builder().start().await;
    let options = stage
        .options(BOOTSTRAP)
        .env("LOG_LEVEL", "error")
        .env("LOG_FORMAT", "text");
    let function = Function::start(options).await.unwrap();
    send_all_kinds_of_requests(&stage, &function).await;
    let log = function.stop().await;
    let lines = printed(&log);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for line in lines {
        assert!(
            line.contains(" ERROR ") && line.contains("category="),
            "{line}"
        );
        assert!(serde_json::from_str::<Value>(line).is_err());
        assert!(!line.contains('\u{1b}'), "no colours: {line}");
    }
}

/// An operator must check the home after an unknown outcome, so the log and a metric report the outcome.
#[tokio::test]
async fn unanswered_batch_is_logged_once_and_each_command_is_counted() {
    let stage = Stage::builder().start().await;
    let options = stage.options(BOOTSTRAP).env("METRICS", "emf");
    let function = Function::start(options).await.unwrap();
    stage
        .home
        .set_fault(SocketFault::At(SocketStage::Reply, Break::Close));
    let batch = json!({ "commands": [{ "type": "ping" }, { "type": "get_states" }] });
    let answer = invoke(&function, &batch).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    for result in answer["results"].as_array().unwrap() {
        assert_eq!(result["outcome"], "unknown", "{answer}");
        assert_eq!(result["success"], false);
        assert_eq!(result["error"]["code"], "command-outcome-unknown");
    }
    let lines = parsed(&function.stop().await);
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.get("level") == Some(&json!("ERROR")))
        .collect();
    let [error] = errors[..] else {
        panic!("one error in {lines:#?}");
    };
    assert_eq!(error["category"], "command-outcome-unknown");
    assert_eq!(error["stage"], "command");
    assert!(error["request_id"].is_string());
    let counted: Vec<_> = lines
        .iter()
        .filter_map(|line| line.get("CommandOutcomeUnknown"))
        .collect();
    assert_eq!(counted, [&json!([2.0])]);
}
