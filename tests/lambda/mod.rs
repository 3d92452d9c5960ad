//! The function as the end-to-end tests share it: where it is, what it is sent, how its answers are read.

use std::path::{Path, PathBuf};

use latchkey_dev::stack::{AwsEmulator, Function, FunctionOptions, Invocation};
use serde_json::{Value, json};

/// Where the token is stored.
pub(crate) const PARAMETER: &str = "/homeautomation/tokens/home-assistant";
/// The call that reads it.
pub(crate) const GET_PARAMETER: &str = "ssm:GetParameter";

/// The function's executable: the one that is going to be deployed if it is named, else this build's.
pub(crate) fn bootstrap() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test runner names the executable in the environment"
    )]
    let named = std::env::var_os("LATCHKEY_BOOTSTRAP");
    named.map_or_else(|| env!("CARGO_BIN_EXE_bootstrap").into(), PathBuf::from)
}

/// A function that runs locally, with its token in `aws` and its home at `home_url`.
pub(crate) fn options(aws: &AwsEmulator, home_url: &str) -> FunctionOptions {
    FunctionOptions::new(bootstrap())
        .aws(aws)
        .local()
        .env("HA_URL", home_url)
        .env("CALLER_AUTH", "none")
}

/// Invokes the function; it must answer rather than fail.
pub(crate) async fn invoke(function: &Function, event: &Value) -> Value {
    answer(&function.invoke(event).await.unwrap(), &event.to_string())
}

/// The answer of an invocation, which must be one of the function's own and no error of its runtime's.
pub(crate) fn answer(invocation: &Invocation, of: &str) -> Value {
    let start: String = of.chars().take(300).collect();
    let answer = invocation.json();
    assert_eq!(invocation.status, 200, "{start}: {}", invocation.text());
    assert!(
        answer.is_object() && answer.get("errorType").is_none(),
        "{start}: {}",
        invocation.text()
    );
    answer
}

/// The command that calls a light's service.
pub(crate) fn light(service: &str, entity_id: &str) -> Value {
    json!({
        "type": "call_service",
        "domain": "light",
        "service": service,
        "target": { "entity_id": entity_id },
    })
}

/// A sample event, by its path in the repository.
pub(crate) fn sample(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The name of the problem that an answer, or the body of one over HTTP, reports.
pub(crate) fn problem(document: &Value) -> &str {
    document["type"]
        .as_str()
        .and_then(|urn| urn.strip_prefix("urn:latchkey:problem:"))
        .unwrap_or_else(|| panic!("no problem: {document}"))
}
