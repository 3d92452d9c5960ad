//! Answers of the function.

use latchkey::base::secret::AccessToken;
use latchkey_dev::stack::{Function, Invocation};
use serde_json::Value;

/// Invokes the function and returns its answer.
///
/// # Panics
///
/// If the function fails instead of answering.
pub async fn invoke(function: &Function, event: &Value) -> Value {
    answer(&function.invoke(event).await.unwrap(), &event.to_string())
}

/// Returns the answer of an invocation. A failing test shows the payload `of`.
///
/// # Panics
///
/// If the answer is an error of the Lambda runtime instead of the function's own.
pub fn answer(invocation: &Invocation, of: &str) -> Value {
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

/// Returns the name of the problem in an answer or in the body of an HTTP response.
///
/// # Panics
///
/// If the document does not report a problem.
pub fn problem(document: &Value) -> &str {
    document["type"]
        .as_str()
        .and_then(|urn| urn.strip_prefix("urn:latchkey:problem:"))
        .unwrap_or_else(|| panic!("no problem: {document}"))
}

/// Returns the fingerprint of a token, which logs and answers may show.
pub fn fingerprint(token: &str) -> String {
    AccessToken::new(token.into()).fingerprint().to_string()
}
