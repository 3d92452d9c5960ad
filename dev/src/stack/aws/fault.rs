//! Faults of AWS, on demand.

use serde::Serialize;

/// A fault to answer calls of one action with.
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
    /// Fails every call of `action` (such as `ssm:GetParameter`) with AWS's error `code`. Two
    /// codes are ours: `hang` answers nothing until faults are cleared, and `KMSAccessDenied` is
    /// Parameter Store's wording for a key it may not use; `500` is an internal error.
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

    /// Lets the call take effect first; only its answer is the fault's.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    /// Lets the first `calls` through.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Fails only calls whose body has this text in it, as the SDK sends it: JSON for Parameter
    /// Store and DynamoDB (`{"S":"LOCK#…"}`), CBOR for CloudWatch. Others do not count for
    /// [`Self::skip`] and [`Self::times`].
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.containing = text.into();
        self
    }

    /// Fails only the next `times` calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Sets the error's message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the HTTP status (400 unless the code says otherwise).
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}
