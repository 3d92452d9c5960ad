//! An invalid configuration ends the function at start.
//!
//! The function prints one line. The line names every faulty variable and does not contain values.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::{Stage, invoke};

use crate::BOOTSTRAP;

/// Runs the executable with only these variables until it ends.
fn start(variables: &[(&str, &str)]) -> Output {
    Command::new(testkit::bootstrap(BOOTSTRAP))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Returns the one line that the executable printed before it ended.
fn fault(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let [line] = printed.lines().collect::<Vec<_>>()[..] else {
        panic!("one line, not {printed}");
    };
    serde_json::from_str(line).unwrap()
}

/// The variable that is set in Lambda. Nothing listens at its address.
const IN_LAMBDA: (&str, &str) = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9");

#[test]
fn configuration_error_names_every_faulty_variable_without_its_value() {
    let variables = [
        ("HA_URL", "ftp://user-q7:secret-q7@home-q7"),
        ("HA_TOKEN", "token-q7"),
        ("HA_TOKEN_FILE", "/file-q7"),
        ("HA_TOKEN_PARAMETER", "parameter q7!"),
        ("HA_TOKEN_FORMAT", "format-q7"),
        ("TOKEN_TTL_SECONDS", "86401"),
        ("HA_VALIDATE_TIMEOUT_MS", "q7"),
        ("HA_CONNECT_TIMEOUT_MS", "-1"),
        ("HA_COMMAND_TIMEOUT_MS", "0"),
        ("HA_MAX_MESSAGE_BYTES", "1e9"),
        ("HA_RETRY_ATTEMPTS", "q7"),
        ("HA_RETRY_BASE_MS", "q7"),
        ("HA_CA_PARAMETER", "arn:aws:secretsmanager:eu:1:secret:q7"),
        ("CALLER_AUTH", "none"),
        ("METRICS", "metrics-q7"),
        ("METRICS_NAMESPACE", "namespace q7"),
        ("LOG_LEVEL", "level-q7"),
        ("LOG_FORMAT", "format-q7"),
    ];
    let output = start(&[&variables[..], &[IN_LAMBDA]].concat());
    let line = fault(&output);
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["category"], "configuration");
    let told = line["error"].as_str().unwrap();
    for (name, _) in variables {
        assert!(told.contains(&format!("{name} ")), "{name}: {told}");
    }
    assert!(!told.contains("q7") && !told.contains("86401") && !told.contains("1e9"));
}

#[test]
fn missing_home_url_is_reported() {
    let told = fault(&start(&[IN_LAMBDA]));
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("HA_URL is not set")
    );
}

#[test]
fn local_only_variable_is_rejected_in_lambda() {
    let url = ("HA_URL", "http://127.0.0.1:8123");
    for variable in [
        ("HA_TOKEN", "token-q7"),
        ("HA_TOKEN_FILE", "/file-q7"),
        ("CALLER_AUTH", "none"),
    ] {
        let told = fault(&start(&[IN_LAMBDA, url, variable]))["error"].to_string();
        let named: BTreeSet<&str> = ["HA_TOKEN ", "HA_TOKEN_FILE ", "CALLER_AUTH ", "HA_URL "]
            .into_iter()
            .filter(|name| told.contains(name))
            .map(str::trim_end)
            .collect();
        assert_eq!(named, [variable.0].into(), "{told}");
        assert!(
            told.contains("local use only") && !told.contains("q7"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn token_from_environment_or_file_works_locally() {
    let stage = Stage::builder().start().await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("token-{}", std::process::id()));
    std::fs::write(&file, format!("{}\n", stage.token)).unwrap();
    let command = json!({ "command": { "type": "ping" } });
    for (name, value) in [
        ("HA_TOKEN", stage.token.as_str()),
        ("HA_TOKEN_FILE", file.to_str().unwrap()),
    ] {
        let function = Function::start(stage.options(BOOTSTRAP).env(name, value))
            .await
            .unwrap();
        let answer = invoke(&function, &command).await;
        assert_eq!(answer["results"][0]["success"], true, "{answer}");
        let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
        assert_eq!(warm["token"]["valid"], true);
        assert_eq!(warm["token"]["version"], Value::Null);
    }
    assert_eq!(stage.reads().await, 0);

    std::fs::remove_file(&file).unwrap();
    let options = stage
        .options(BOOTSTRAP)
        .env("HA_TOKEN_FILE", file.to_str().unwrap());
    let function = Function::start(options).await.unwrap();
    let answer = invoke(&function, &command).await;
    assert_eq!(testkit::problem(&answer), "token-missing");
    assert!(
        answer["detail"]
            .as_str()
            .unwrap()
            .contains("does not exist")
    );
}
