//! Misplaced tokens: in a variable for another value, or in a caller's request. Users paste tokens into wrong places.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, stream};
use latchkey_dev::stack::{Function, FunctionOptions};
use serde_json::{Value, json};
use testkit::canary::Canary;
use testkit::{Stage, invoke, sample};

/// All variables that the function reads.
const VARIABLES: &[&str] = &[
    "HA_URL",
    "HA_TOKEN",
    "HA_TOKEN_FILE",
    "HA_TOKEN_FORMAT",
    "HA_TOKEN_PARAMETER",
    "TOKEN_TTL_SECONDS",
    "HA_VALIDATE_TIMEOUT_MS",
    "HA_CONNECT_TIMEOUT_MS",
    "HA_COMMAND_TIMEOUT_MS",
    "HA_MAX_MESSAGE_BYTES",
    "HA_RETRY_ATTEMPTS",
    "HA_RETRY_BASE_MS",
    "HA_CA_PARAMETER",
    "HA_CLIENT_CERT_PARAMETER",
    "HA_HEADERS_PARAMETER",
    "HOMES_PARAMETER_PREFIX",
    "TABLE_NAME",
    "CALLER_AUTH",
    "METRICS",
    "METRICS_NAMESPACE",
    "LOG_LEVEL",
    "LOG_FORMAT",
];

/// Returns a token in the format of Home Assistant's tokens, and a search for this token.
fn fake_token() -> (String, Canary) {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!(
        "{}.{}.{}",
        encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        encode(r#"{"iss":"c0ffee00c0ffee11c0ffee22c0ffee33","iat":1700000000,"exp":2015360000}"#),
        encode("the canary's signature, 32 bytes")
    );
    let canary = Canary::new(&token);
    (token, canary)
}

#[test]
fn configuration_error_redacts_a_misplaced_token() {
    let (token, canary) = fake_token();
    for name in VARIABLES {
        for value in [
            token.clone(),
            format!("Bearer {token}"),
            format!("http://{token}@home:8123"),
            format!("http://home:8123/?token={token}"),
            format!("http://home:8123/#{token}"),
            format!("{token}://home"),
        ] {
            // `CALLER_AUTH` is invalid, so the function ends at start even if another variable accepts the token.
            let output = Command::new(testkit::bootstrap(crate::BOOTSTRAP))
                .env_clear()
                .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
                .env("HA_URL", "http://127.0.0.1:9")
                .env("CALLER_AUTH", "wrong")
                .env(name, &value)
                .output()
                .unwrap();
            assert!(!output.status.success(), "{name}: {output:?}");
            assert!(!output.stdout.is_empty(), "{name}: it does not say why");
            canary.search(name, &String::from_utf8_lossy(&output.stdout));
            canary.search(name, &String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Some variables accept almost any text, and so accept a token. The output must not contain this token.
#[tokio::test]
async fn token_in_free_text_variable_is_redacted() {
    let (token, canary) = fake_token();
    let Stage { home, aws, .. } = Stage::builder().start().await;
    let variables = [
        ("HA_TOKEN_PARAMETER", token.clone()),
        ("HA_TOKEN_FILE", token.clone()),
        ("HA_CA_PARAMETER", token.clone()),
        ("HA_CLIENT_CERT_PARAMETER", token.clone()),
        ("HA_HEADERS_PARAMETER", token.clone()),
        ("HOMES_PARAMETER_PREFIX", format!("/{token}")),
        ("TABLE_NAME", token.clone()),
        ("METRICS_NAMESPACE", token.clone()),
        ("HA_URL", format!("http://127.0.0.1:9/{token}")),
        ("HA_URL", format!("http://{token}:8123")),
    ];
    let options = testkit::options(crate::BOOTSTRAP, &aws, &home.url())
        .env("LOG_LEVEL", "trace")
        .env("METRICS", "emf")
        .timeout(Duration::from_secs(3));
    // The functions run at once, because each function mostly waits: for an unreachable home or for the emulator.
    let said: Vec<(&str, String)> = stream::iter(variables)
        .map(|(name, value)| {
            let options = options.clone().env(name, value);
            async move { (name, all_output(options).await) }
        })
        .buffer_unordered(10)
        .collect()
        .await;
    let leaks: Vec<_> = said
        .iter()
        .filter_map(|(name, said)| Some(format!("{name}: …{}…", canary.leak(said)?)))
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n\n"));
}

/// Returns all answers and all output of a function.
async fn all_output(options: FunctionOptions) -> String {
    let function = Function::start(options).await.unwrap();
    let mut said = String::new();
    for event in [
        json!({ "command": { "type": "ping" }, "idempotency_key": "once" }),
        json!({ "source": "keep-warm" }),
    ] {
        said += &function.invoke(&event).await.unwrap().text();
        // A function that cannot start does not start for the next event either.
        if function.logs().contains("cannot start") {
            break;
        }
    }
    said + &function.stop().await
}

#[tokio::test]
async fn token_in_request_is_not_echoed() {
    let (token, canary) = fake_token();
    let Stage { home, aws, .. } = Stage::builder().start().await;
    let options = testkit::options(crate::BOOTSTRAP, &aws, &home.url())
        .env("LOG_LEVEL", "trace")
        .env("HOMES_PARAMETER_PREFIX", "/latchkey/homes");
    let function = Function::start(options).await.unwrap();
    let http = |path: &str, body: Value| {
        let mut event = sample("events/http-api-command.json");
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["headers"]["authorization"] = format!("Bearer {token}").into();
        event["rawQueryString"] = format!("access_token={token}").into();
        event["body"] = body;
        event
    };
    let changed = |detail: Value| {
        let mut event = sample("tests/fixtures/events/ssm-parameter-change.json");
        event["detail"] = detail;
        event
    };
    let command = json!({ "command": { "type": "ping" } }).to_string();
    let mut leaks = Vec::new();
    for event in [
        json!(token),
        json!([token]),
        json!({ "token": token }),
        json!({ "source": token }),
        json!({ "source": token, "detail-type": token }),
        json!({ token.clone(): 1 }),
        json!({ "directive": { "header": { "namespace": token } } }),
        json!({ "requestContext": { "token": token }, "version": token }),
        json!({ "command": token }),
        json!({ "command": { "type": token, "id": 1 } }),
        json!({ "command": { "type": "auth", "access_token": token } }),
        json!({ "command": { "type": format!("subscribe_{token}") } }),
        json!({ "command": { "type": "ping" }, token.clone(): 1 }),
        json!({ "command": { "type": "ping" }, "home": token }),
        json!({ "command": { "type": "ping" }, "home": &token[..64] }),
        json!({ "source": "rotate-token", "home": token }),
        json!({ "source": "rotate-token", "home": &token[..64] }),
        json!({ "source": "rotate-token", token.clone(): true }),
        json!({ "source": "rotate-token", "dry_run": token }),
        changed(json!({ "name": token })),
        changed(json!(json!({ "name": token }).to_string())),
        changed(json!(token)),
        json!({ "commands": token }),
        http("/commands", json!(command)),
        http("/commands", json!(token)),
        http("/commands", json!(format!("{{\"{token}\":1}}"))),
        http(&format!("/{token}"), json!(command)),
        http(&format!("/commands/{token}"), json!(command)),
    ] {
        let answer = invoke(&function, &event).await;
        if let Some(leak) = canary.leak(&answer.to_string()) {
            leaks.push(format!(
                "answer to {}: …{leak}…",
                event.to_string().replace(&token, "TOKEN")
            ));
        }
    }
    let raw = function.invoke_raw(token.clone()).await.unwrap();
    canary.search("the answer to the token alone", &raw.text());
    let log = function.stop().await;
    assert!(leaks.is_empty(), "{}", leaks.join("\n\n"));
    canary.search("the function's output", &log);
}
