//! Finds out who answered an HTTP request: the home, the home's IP ban, a system in front of the home, or another
//! server.
//!
//! The token check at `/api/config`, the WebSocket upgrade, REST requests and Alexa directives all use this module. For
//! a request that accepts JSON, a home sends errors as plain text or JSON. An HTML page therefore comes from a system
//! in front of the home, for example a proxy. The same holds for a redirect and for a challenge for another kind of
//! login.

use http::header::{CONTENT_TYPE, LOCATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use super::error::{HomeError, Stage};
use super::target::Target;

/// The kind of response that a home is expected to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The home's configuration, for the token check.
    Proof,
    /// A WebSocket upgrade.
    Upgrade,
    /// JSON, or an error from the home.
    Json,
    /// A file such as an image, or an error from the home.
    File,
    /// Any content, including HTML pages, because latchkey does not know the route.
    Anything,
}

impl Expected {
    /// Returns the step that an error is reported for.
    fn stage(self) -> Stage {
        match self {
            Self::Proof => Stage::Validate,
            Self::Upgrade => Stage::Upgrade,
            Self::Json | Self::File | Self::Anything => Stage::Command,
        }
    }

    /// Returns true if the response shows whether the home is ready and which proxies it trusts. Later requests are
    /// sent while a session is open. The session has already shown this, so an error in a later response concerns that
    /// request.
    fn is_first(self) -> bool {
        matches!(self, Self::Proof | Self::Upgrade)
    }
}

/// A response that is not from the home, or that rejects every request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignAnswer {
    /// The error that the response means.
    pub(super) error: HomeError,
    /// True if the home may still have received the request.
    pub(super) may_have_arrived: bool,
}

/// The sender of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answerer {
    /// The home, which answered this request.
    Home,
    /// Another system, or the home while it rejects every request.
    Other(ForeignAnswer),
}

/// The kind of a response body, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Page,
    Json,
    Plain,
    Other,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Self::Plain;
        };
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let essence = text.split(';').next().unwrap_or_default().trim();
        match essence {
            _ if essence.contains("html") => Self::Page,
            "application/json" => Self::Json,
            _ if essence.ends_with("+json") => Self::Json,
            // aiohttp reports a body without a content type like this.
            "text/plain" | "application/octet-stream" => Self::Plain,
            _ => Self::Other,
        }
    }
}

/// Finds out who answered a request.
pub(super) fn answerer(
    status: StatusCode,
    headers: &HeaderMap,
    expected: Expected,
    target: &Target,
) -> Answerer {
    let code = status.as_u16();
    let kind = Kind::of(headers);
    let edge = || HomeError::EdgeBlocked {
        status: code,
        has_path: target.address.has_path(),
    };
    let not_home = |seen| HomeError::NotHomeAssistant { seen };
    let unreachable = || HomeError::Unreachable {
        stage: expected.stage(),
        reason: format!("status {code}"),
        refused: false,
    };
    let never_arrived = |error| {
        Answerer::Other(ForeignAnswer {
            error,
            may_have_arrived: false,
        })
    };
    let may_have_arrived = |error| {
        Answerer::Other(ForeignAnswer {
            error,
            may_have_arrived: true,
        })
    };
    if headers.contains_key(WWW_AUTHENTICATE) || headers.contains_key(PROXY_AUTHENTICATE) {
        return never_arrived(edge());
    }
    let is_redirect = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    if is_redirect && !(expected == Expected::Anything && is_same_host_redirect(headers)) {
        return never_arrived(edge());
    }
    // Status codes of a CDN that did not reach the home.
    if matches!(code, 521 | 523 | 525..=530) {
        return never_arrived(edge());
    }
    if kind == Kind::Page && expected != Expected::Anything {
        return match code {
            // An error page of a gateway. The home may have received the request without sending a response.
            500..=599 => may_have_arrived(edge()),
            _ => never_arrived(edge()),
        };
    }
    match code {
        520 | 522 | 524 => may_have_arrived(edge()),
        502 | 504 => may_have_arrived(unreachable()),
        _ if expected.is_first() => first_answer(code, kind, expected, edge, unreachable),
        200..=299 => match expected {
            Expected::Json if kind != Kind::Json => {
                may_have_arrived(not_home("a response that is not JSON"))
            }
            _ => Answerer::Home,
        },
        _ if expected == Expected::Anything => Answerer::Home,
        403 if kind == Kind::Plain => never_arrived(HomeError::Banned),
        403 | 407 | 429 => never_arrived(edge()),
        // A stopping home and a gateway both send this status. A gateway may send it before or after it has forwarded
        // the request. For a file, the status can also mean that a camera is off.
        503 if kind == Kind::Plain && expected == Expected::Json => may_have_arrived(unreachable()),
        // Home Assistant never sends these status codes.
        408 | 418..=421 | 423..=428 | 430..=499 | 505..=599 => may_have_arrived(edge()),
        _ => Answerer::Home,
    }
}

/// Finds out who answered a request whose response shows whether the home is ready and which proxies it trusts.
fn first_answer(
    code: u16,
    kind: Kind,
    expected: Expected,
    edge: impl Fn() -> HomeError,
    unreachable: impl Fn() -> HomeError,
) -> Answerer {
    let error = match (code, expected) {
        (200, Expected::Proof) => return Answerer::Home,
        // A home sends this status as plain text. The upgrade carries no token, so a home never answers it with 401.
        (401, Expected::Proof) if kind == Kind::Plain => HomeError::Rejected,
        (401 | 407 | 429, _) => edge(),
        (400, _) => HomeError::ProxyNotTrusted,
        (403, _) if kind == Kind::Plain => HomeError::Banned,
        (403, _) => edge(),
        (503, _) => HomeError::Starting,
        (500..=599, _) => unreachable(),
        _ => HomeError::NotHomeAssistant {
            seen: "an unexpected HTTP status",
        },
    };
    Answerer::Other(ForeignAnswer {
        error,
        // Neither the token check nor the upgrade executes anything in the home.
        may_have_arrived: false,
    })
}

/// Returns true if a redirect stays on the same host.
fn is_same_host_redirect(headers: &HeaderMap) -> bool {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    location.is_some_and(|location| location.starts_with('/') && !location.starts_with("//"))
}

#[cfg(test)]
mod tests;
