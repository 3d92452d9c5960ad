//! Invocations of the function.

use serde_json::{Map, Value};
use tokio::{sync::oneshot, time::timeout};

use super::shared::Shared;

/// The answer of the function.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body, which is empty if the answer has none.
    pub(super) body: String,
    headers: Map<String, Value>,
}

/// The reason why an invocation has no answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    /// The function failed, or its answer is malformed.
    Failed,
    /// The function did not answer in time.
    TimedOut,
}

impl Failure {
    /// Returns API Gateway's text for the failure.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Failed => "Internal server error",
            Self::TimedOut => "Endpoint request timed out",
        }
    }
}

/// Invokes the function and waits for its answer.
///
/// # Errors
/// If the function fails, answers too late, or its answer is malformed.
pub(super) async fn invoke(shared: &Shared, event: Value) -> Result<Answer, Failure> {
    let invocation = shared.invoke.invoke(event);
    let (sender, answer) = oneshot::channel();
    // A task of its own, because the function continues after the time limit.
    shared.tasks.spawn(async move {
        // An error means that the time limit has passed.
        let _ = sender.send(invocation.await);
    });
    match timeout(shared.options.integration_timeout, answer).await {
        Err(_) => Err(Failure::TimedOut),
        Ok(Ok(Ok(answer))) => Answer::read(answer).ok_or(Failure::Failed),
        // The function returned an error or panicked.
        Ok(_) => Err(Failure::Failed),
    }
}

impl Answer {
    /// Reads an answer in the format of the Lambda proxy integration. Returns `None` if it is malformed.
    fn read(answer: Value) -> Option<Self> {
        let Value::Object(mut members) = answer else {
            return None;
        };
        let status = match members.get("statusCode")? {
            Value::Number(number) => number.as_u64()?.try_into().ok()?,
            Value::String(digits) => digits.parse().ok()?,
            _ => return None,
        };
        let body = match members.remove("body") {
            Some(Value::String(body)) => body,
            None | Some(Value::Null) => String::new(),
            Some(_) => return None,
        };
        let headers = match members.remove("headers") {
            Some(Value::Object(headers)) => headers,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return None,
        };
        Some(Self {
            status,
            body,
            headers,
        })
    }

    /// Returns the value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.as_str())
    }
}
