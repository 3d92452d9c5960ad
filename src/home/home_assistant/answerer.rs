//! Who answered an HTTP request: the home, its ban, something in front of it, or something else.
//!
//! The proof of a token at `/api/config`, the WebSocket upgrade, requests to the REST API and Alexa's directives all
//! ask here. Asked for JSON, a home answers errors in plain text or JSON, so a page comes from something in front of
//! it. So do a redirect and a challenge for another kind of login.

use http::header::{CONTENT_TYPE, LOCATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use super::error::{HomeError, Stage};
use super::target::Target;

/// What a home answers to a request, as far as it is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The home's configuration, to the token that is being proven.
    Proof,
    /// A WebSocket.
    Upgrade,
    /// JSON, or an error of the home's own.
    Json,
    /// A file such as an image, or an error of the home's own.
    File,
    /// Anything, pages included: a route that latchkey does not know.
    Anything,
}

impl Expected {
    /// The step that a failure is reported for.
    fn stage(self) -> Stage {
        match self {
            Self::Proof => Stage::Validate,
            Self::Upgrade => Stage::Upgrade,
            Self::Json | Self::File | Self::Anything => Stage::Command,
        }
    }

    /// Whether the request tells whether the home is ready and whom it trusts. Later requests go out beside a session,
    /// which has told that already, so their errors are about the request.
    fn is_first(self) -> bool {
        matches!(self, Self::Proof | Self::Upgrade)
    }
}

/// An answer that is not the home's own, or that refuses everything.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignAnswer {
    /// What it means.
    pub(super) error: HomeError,
    /// Whether the home may have received the request all the same.
    pub(super) may_have_arrived: bool,
}

/// The kind of an answer's body, by its content type.
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
            // What aiohttp calls a body without a type.
            "text/plain" | "application/octet-stream" => Self::Plain,
            _ => Self::Other,
        }
    }
}

/// Tells who answered: `None` is the home, which answered this very request.
pub(super) fn foreign_answer(
    status: StatusCode,
    headers: &HeaderMap,
    expected: Expected,
    target: &Target,
) -> Option<ForeignAnswer> {
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
        Some(ForeignAnswer {
            error,
            may_have_arrived: false,
        })
    };
    let may_have_arrived = |error| {
        Some(ForeignAnswer {
            error,
            may_have_arrived: true,
        })
    };
    if headers.contains_key(WWW_AUTHENTICATE) || headers.contains_key(PROXY_AUTHENTICATE) {
        return never_arrived(edge());
    }
    let is_redirect = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    if is_redirect && !(expected == Expected::Anything && leads_to_itself(headers)) {
        return never_arrived(edge());
    }
    // A CDN's: the home was not reached.
    if matches!(code, 521 | 523 | 525..=530) {
        return never_arrived(edge());
    }
    if kind == Kind::Page && expected != Expected::Anything {
        return match code {
            // A gateway's page about a home that may have taken the request and gave no answer.
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
                may_have_arrived(not_home("an answer that is not JSON"))
            }
            _ => None,
        },
        _ if expected == Expected::Anything => None,
        403 if kind == Kind::Plain => never_arrived(HomeError::Banned),
        403 | 407 | 429 => never_arrived(edge()),
        // A home that is stopping answers so, and so does a gateway, be it before or after it has passed the request
        // on. A camera that is off is told of in the same way.
        503 if kind == Kind::Plain && expected == Expected::Json => may_have_arrived(unreachable()),
        // Statuses that no home has.
        408 | 418..=421 | 423..=428 | 430..=499 | 505..=599 => may_have_arrived(edge()),
        _ => None,
    }
}

/// What an answer means to a request that tells whether the home is ready and whom it trusts.
fn first_answer(
    code: u16,
    kind: Kind,
    expected: Expected,
    edge: impl Fn() -> HomeError,
    unreachable: impl Fn() -> HomeError,
) -> Option<ForeignAnswer> {
    let error = match (code, expected) {
        (200, Expected::Proof) => return None,
        // A home says so in plain text. The upgrade carries no token, so a home never answers it with 401.
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
    Some(ForeignAnswer {
        error,
        // Nothing is carried out by either.
        may_have_arrived: false,
    })
}

/// Whether a redirect stays where it came from.
fn leads_to_itself(headers: &HeaderMap) -> bool {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    location.is_some_and(|location| location.starts_with('/') && !location.starts_with("//"))
}

#[cfg(test)]
mod tests;
