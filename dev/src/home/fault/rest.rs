//! Faults of REST requests.

use std::time::Duration;

/// A fault that replaces the response to a REST request. The home does not check the token, so a
/// fault never counts as a failed login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestFault {
    /// Never responds.
    Hang,
    /// Responds with this status and a body like Home Assistant's (`400: Bad Request`).
    Status(u16),
    /// Redirects with 302 to a login page, as an access proxy does. This home serves that page.
    Redirect,
    /// Responds with 200 and an HTML page, like the login page of a tunnel.
    Html,
    /// Responds with 401 and `WWW-Authenticate: Basic`, as an access proxy does.
    Challenge,
    /// Responds with 200 and plain text, as another program would.
    Text,
    /// Responds with 200, `application/json` and a body that is not JSON.
    NotJson,
    /// Responds with 200 and `{}`.
    EmptyJson,
    /// Responds with 200 and the configuration without `version`.
    NoVersion,
    /// Responds with 200 and a JSON array.
    JsonArray,
    /// Closes the connection (FIN) without a response.
    Close,
    /// Resets the connection (RST) without a response.
    Reset,
    /// Never reads or writes on the connection again.
    HalfOpen,
    /// Closes the connection in the middle of the body.
    CutBody,
    /// Responds with the configuration, one byte after each interval of this length.
    SlowBody(Duration),
    /// Responds with 200 and JSON that has a version and this many bytes of filler.
    HugeBody(usize),
    /// Sends the status line, then headers without end.
    EndlessHeaders,
}

impl RestFault {
    /// Returns every REST fault. Parameters have typical values.
    pub fn all() -> Vec<Self> {
        let mut faults = vec![
            Self::Hang,
            Self::Redirect,
            Self::Html,
            Self::Challenge,
            Self::Text,
            Self::NotJson,
            Self::EmptyJson,
            Self::NoVersion,
            Self::JsonArray,
            Self::Close,
            Self::Reset,
            Self::HalfOpen,
            Self::CutBody,
            Self::SlowBody(Duration::from_millis(100)),
            Self::HugeBody(64 << 20),
            Self::EndlessHeaders,
        ];
        faults.extend([400, 403, 404, 429, 500, 502, 503, 504, 520, 530].map(Self::Status));
        faults
    }
}
