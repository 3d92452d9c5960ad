//! Simulated failures of AWS calls.

use serde::Serialize;

/// A fault of the calls of one action.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    action: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    times: Option<u32>,
    skip: u32,
    after: bool,
    containing: String,
}

impl Fault {
    /// Creates a fault: every call of `action` (such as `ssm:GetParameter`) fails with AWS's error
    /// `code`. Three codes are special. `hang` delays the response until the faults are cleared.
    /// `KMSAccessDenied` is Parameter Store's error for a key without permission. `500` is an
    /// internal error.
    pub fn new(action: impl Into<String>, code: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            code: code.into(),
            message: None,
            status: None,
            times: None,
            skip: 0,
            after: false,
            containing: String::new(),
        }
    }

    /// Makes the call take effect before it fails.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    /// Does not affect the first `calls` matching calls.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Affects only calls whose body contains this text. The SDK sends JSON to Parameter Store and
    /// DynamoDB (`{"S":"LOCK#…"}`), and CBOR to CloudWatch. Other calls do not count for
    /// [`Self::skip`] and [`Self::times`].
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.containing = text.into();
        self
    }

    /// Affects only the next `times` matching calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Sets the message of the error.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the HTTP status. The default depends on the code, and is 400 for most codes.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}
