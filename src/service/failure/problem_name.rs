//! The stable names of problems, with their titles and statuses.

/// The stable name of a problem: `urn:latchkey:problem:<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is described by its title below")]
pub enum ProblemName {
    TokenMissing,
    TokenMalformed,
    TokenExpired,
    TokenRejected,
    TokenSourceUnavailable,
    HomeBanned,
    HomeUnreachable,
    HomeStarting,
    HomeTimeout,
    HomeTls,
    HomeEdgeBlocked,
    HomeProxyNotTrusted,
    NotHomeAssistant,
    CommandInvalid,
    CommandOutcomeUnknown,
    MessageTooLarge,
    Unauthenticated,
    Forbidden,
    RateLimited,
    BadRequest,
    NotFound,
    UnsupportedEvent,
    DeadlineExceeded,
    Internal,
}

impl ProblemName {
    /// All names.
    pub const ALL: [Self; 24] = [
        Self::TokenMissing,
        Self::TokenMalformed,
        Self::TokenExpired,
        Self::TokenRejected,
        Self::TokenSourceUnavailable,
        Self::HomeBanned,
        Self::HomeUnreachable,
        Self::HomeStarting,
        Self::HomeTimeout,
        Self::HomeTls,
        Self::HomeEdgeBlocked,
        Self::HomeProxyNotTrusted,
        Self::NotHomeAssistant,
        Self::CommandInvalid,
        Self::CommandOutcomeUnknown,
        Self::MessageTooLarge,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::RateLimited,
        Self::BadRequest,
        Self::NotFound,
        Self::UnsupportedEvent,
        Self::DeadlineExceeded,
        Self::Internal,
    ];

    /// Returns the name, the title and the HTTP status.
    fn row(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::TokenMissing => ("token-missing", "No token is stored", 503),
            Self::TokenMalformed => ("token-malformed", "The stored value is not a token", 503),
            Self::TokenExpired => ("token-expired", "The token has expired", 503),
            Self::TokenRejected => ("token-rejected", "Home Assistant rejected the token", 503),
            Self::TokenSourceUnavailable => (
                "token-source-unavailable",
                "The token could not be read",
                503,
            ),
            Self::HomeBanned => ("home-banned", "Home Assistant has banned this address", 503),
            Self::HomeUnreachable => ("home-unreachable", "The home could not be reached", 503),
            Self::HomeStarting => ("home-starting", "Home Assistant is starting", 503),
            Self::HomeTimeout => ("home-timeout", "The home did not answer in time", 503),
            Self::HomeTls => ("home-tls", "The TLS connection to the home failed", 503),
            Self::HomeEdgeBlocked => (
                "home-edge-blocked",
                "A proxy in front of the home answered instead of the home",
                503,
            ),
            Self::HomeProxyNotTrusted => (
                "home-proxy-not-trusted",
                "Home Assistant does not trust the proxy in front of it",
                503,
            ),
            Self::NotHomeAssistant => (
                "not-home-assistant",
                "The server at this address is not Home Assistant",
                503,
            ),
            Self::CommandInvalid => ("command-invalid", "The command is invalid", 400),
            Self::CommandOutcomeUnknown => (
                "command-outcome-unknown",
                "The command may or may not have been executed",
                504,
            ),
            Self::MessageTooLarge => ("message-too-large", "The message is too large", 502),
            Self::Unauthenticated => ("unauthenticated", "The caller is not authenticated", 401),
            Self::Forbidden => ("forbidden", "The request is not authorised", 403),
            Self::RateLimited => ("rate-limited", "Too many requests", 429),
            Self::BadRequest => ("bad-request", "The request is invalid", 400),
            Self::NotFound => ("not-found", "The resource does not exist", 404),
            Self::UnsupportedEvent => ("unsupported-event", "The event is not supported", 400),
            Self::Internal => (
                "internal",
                "latchkey cannot serve this request in its current configuration",
                500,
            ),
            Self::DeadlineExceeded => ("deadline-exceeded", "The invocation ran out of time", 504),
        }
    }

    /// Returns the stable name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the meaning of the problem in a few words.
    pub fn title(self) -> &'static str {
        self.row().1
    }

    /// Returns the name as a URN, the `type` of problem documents.
    pub fn urn(self) -> String {
        format!("urn:latchkey:problem:{}", self.name())
    }

    /// Returns the HTTP status of the problem.
    pub fn status(self) -> u16 {
        self.row().2
    }
}
