//! Unreadable parameters. Callers and the log get the same detail, which names the variable.

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::{Stage, callers, invoke, problem, sample};

use crate::BOOTSTRAP;

const PLAIN: &str = "/in/clear-text";
const ARN: &str = "arn:aws:ssm:us-east-1:123456789012:parameter/latchkey/nothing";

/// A faulty setting and the expected problem.
struct Case {
    variable: &'static str,
    value: &'static str,
    name: &'static str,
    title: &'static str,
    detail: String,
}

fn cases() -> Vec<Case> {
    let missing = |variable, value, name, title| Case {
        variable,
        value,
        name,
        title,
        detail: format!("The parameter {value} (named by {variable}) does not exist"),
    };
    let plain = |variable, title| Case {
        variable,
        value: PLAIN,
        name: "token-source-unavailable",
        title,
        detail: format!(
            "The parameter {PLAIN} (named by {variable}) is a String, not a SecureString"
        ),
    };
    const MISSING: &str = "token-missing";
    const UNAVAILABLE: &str = "token-source-unavailable";
    vec![
        missing(
            "HA_TOKEN_PARAMETER",
            "hatoken",
            MISSING,
            "The parameter named by HA_TOKEN_PARAMETER does not exist",
        ),
        missing(
            "HA_TOKEN_PARAMETER",
            ARN,
            MISSING,
            "The parameter named by HA_TOKEN_PARAMETER does not exist",
        ),
        plain(
            "HA_TOKEN_PARAMETER",
            "The parameter named by HA_TOKEN_PARAMETER is not a SecureString",
        ),
        missing(
            "HA_CA_PARAMETER",
            "/latchkey/ca",
            UNAVAILABLE,
            "The parameter named by HA_CA_PARAMETER does not exist",
        ),
        missing(
            "HA_CLIENT_CERT_PARAMETER",
            "/latchkey/cert",
            UNAVAILABLE,
            "The parameter named by HA_CLIENT_CERT_PARAMETER does not exist",
        ),
        plain(
            "HA_CLIENT_CERT_PARAMETER",
            "The parameter named by HA_CLIENT_CERT_PARAMETER is not a SecureString",
        ),
        missing(
            "HA_HEADERS_PARAMETER",
            "/latchkey/headers",
            UNAVAILABLE,
            "The parameter named by HA_HEADERS_PARAMETER does not exist",
        ),
        plain(
            "HA_HEADERS_PARAMETER",
            "The parameter named by HA_HEADERS_PARAMETER is not a SecureString",
        ),
    ]
}

/// Returns the parsed body of an answer over HTTP.
fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// Returns the error lines of the log.
fn failures(log: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["level"] == "ERROR")
        .collect()
}

/// Asserts that only a fault of `HA_TOKEN_PARAMETER` advises to store the token.
fn assert_advice(document: &Value, variable: &str) {
    let action = document["action"].as_str().unwrap();
    let is_token = variable == "HA_TOKEN_PARAMETER";
    assert_eq!(action.contains("store the token"), is_token, "{document}");
}

#[tokio::test]
async fn unreadable_parameter_is_reported_alike_to_callers_alexa_and_log() {
    let stage = Stage::builder().start().await;
    let plain = json!({ "X-Fence": "open" }).to_string();
    stage.aws.put_parameter(PLAIN, &plain).await.unwrap();
    let command = json!({ "command": { "type": "ping" } });
    for case in cases() {
        let options = stage.options(BOOTSTRAP).env(case.variable, case.value);
        let function = Function::start(options).await.unwrap();
        let direct = invoke(&function, &command).await;
        let over_http = body(&invoke(&function, &sample("events/http-api-command.json")).await);
        for document in [&direct, &over_http] {
            assert_eq!(problem(document), case.name, "{document}");
            assert_eq!(document["status"], 503, "{document}");
            assert_eq!(document["title"], case.title, "{document}");
            assert_eq!(document["detail"], case.detail, "{document}");
            assert_advice(document, case.variable);
            assert_eq!(document["action"], direct["action"], "{document}");
        }
        let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
        assert_eq!(warm["problem"]["detail"], case.detail, "{warm}");
        let directive = sample("tests/fixtures/events/alexa-turn-on.json");
        let alexa = invoke(&function, &directive).await;
        let message = &alexa["event"]["payload"]["message"];
        assert_eq!(*message, case.detail, "{alexa}");
        let logged = failures(&function.stop().await);
        assert_eq!(logged.len(), 4, "{logged:?}");
        for line in logged {
            assert_eq!(line["error"], case.detail, "{line}");
            assert_eq!(line["category"], case.name, "{line}");
        }
    }
    // latchkey did not present a token to the home.
    assert_eq!(stage.home.counters().config_checks, 0);
}

#[tokio::test]
async fn unreadable_caller_secret_is_not_reported_as_a_token_fault() {
    let stage = Stage::builder().start().await;
    stage
        .aws
        .put_parameter(PLAIN, callers::SECRET)
        .await
        .unwrap();
    let token = callers::token(&["admin"], &json!({}));
    let request = callers::run(Some(&token), &json!({ "type": "ping" }));
    for (value, detail) in [
        (
            "/latchkey/nothing",
            "The parameter /latchkey/nothing (named by CALLER_JWT_SECRET_PARAMETER) does not exist",
        ),
        (
            PLAIN,
            "The parameter /in/clear-text (named by CALLER_JWT_SECRET_PARAMETER) is a String, not a SecureString",
        ),
    ] {
        let options = stage
            .options(BOOTSTRAP)
            .env("CALLER_AUTH", "jwt")
            .env("CALLER_JWT_ISSUER", callers::ISSUER)
            .env("CALLER_JWT_AUDIENCE", callers::AUDIENCE)
            .env("CALLER_JWT_SECRET_PARAMETER", value);
        let function = Function::start(options).await.unwrap();
        let answer = invoke(&function, &request).await;
        assert_eq!(answer["statusCode"], 503, "{answer}");
        let document = body(&answer);
        assert_eq!(problem(&document), "token-source-unavailable");
        assert_eq!(document["detail"], detail);
        let title = document["title"].as_str().unwrap();
        let subject = "The parameter named by CALLER_JWT_SECRET_PARAMETER ";
        assert!(title.starts_with(subject), "{document}");
        assert_advice(&document, "CALLER_JWT_SECRET_PARAMETER");
        let logged = failures(&function.stop().await);
        assert_eq!(logged.len(), 1, "{logged:?}");
        assert_eq!(logged[0]["error"], detail);
    }
}

#[tokio::test]
async fn unreadable_parameter_of_stored_home_is_named() {
    const PREFIX: &str = "/latchkey/homes";
    let stage = Stage::builder().start().await;
    let url = stage.home.url();
    let put = async |leaf: &str, value: &str| {
        let name = format!("{PREFIX}/cabin/{leaf}");
        stage.aws.put_parameter(&name, value).await.unwrap();
    };
    put("url", &url).await;
    let command = json!({ "command": { "type": "ping" }, "home": "cabin" });
    let options = testkit::options(BOOTSTRAP, &stage.aws, "").env("HOMES_PARAMETER_PREFIX", PREFIX);
    let function = Function::start(options).await.unwrap();
    let answer = invoke(&function, &command).await;
    assert_eq!(problem(&answer), "not-found");
    assert_eq!(
        answer["detail"],
        "The home cabin does not exist: the parameter /latchkey/homes/cabin/token (the home's /token) does not exist"
    );

    put("token", &stage.token).await;
    let answer = invoke(&function, &command).await;
    assert_eq!(problem(&answer), "token-source-unavailable");
    assert_eq!(answer["title"], "The home's /token is not a SecureString");

    let token = format!("{PREFIX}/cabin/token");
    stage.aws.delete_parameter(&token).await.unwrap();
    stage.aws.put_token(&token, &stage.token).await.unwrap();
    put("headers", r#"{"X-Fence":"open"}"#).await;
    let answer = invoke(&function, &command).await;
    assert_eq!(problem(&answer), "token-source-unavailable");
    assert_eq!(answer["title"], "The home's /headers is not a SecureString");
    assert_eq!(
        answer["detail"],
        "The parameter /latchkey/homes/cabin/headers (the home's /headers) is a String, not a SecureString"
    );
    assert_advice(&answer, "the home's /headers");
}
