//! Who answered an HTTP request: the home, its ban, something in front of it, or something else.
//!
//! The proof of a token at `/api/config`, the WebSocket upgrade, requests to the REST API and Alexa's directives all ask
//! here. A home answers errors in plain text or JSON, so a page comes from something in front of it, and so do a redirect and
//! a challenge for another kind of login.

use http::header::{CONTENT_TYPE, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
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

    /// Whether the request tells whether the home is ready and whom it trusts. Later requests go out beside a session, which
    /// has told that already, so their errors are about the request.
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
    let is_challenge =
        headers.contains_key(WWW_AUTHENTICATE) || headers.contains_key(PROXY_AUTHENTICATE);
    // The home has the answer that it was asked about.
    let is_redirect = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    if is_challenge || is_redirect {
        return never_arrived(edge());
    }
    if kind == Kind::Page && !(expected == Expected::Anything && status.is_success()) {
        return match code {
            // A gateway's page about a home that took the request and gave no answer.
            502 | 504 | 520 | 524 => may_have_arrived(edge()),
            _ => never_arrived(edge()),
        };
    }
    match code {
        200..=299 => match expected {
            Expected::Proof if code == 200 => None,
            Expected::Proof | Expected::Upgrade => never_arrived(not_home(STATUS)),
            Expected::Json if kind != Kind::Json => {
                may_have_arrived(not_home("an answer that is not JSON"))
            }
            Expected::Json | Expected::File | Expected::Anything => None,
        },
        // The upgrade carries no token: a home never answers it with 401.
        401 if expected == Expected::Upgrade => never_arrived(edge()),
        401 if expected == Expected::Proof => never_arrived(HomeError::Rejected),
        403 => match (expected, kind) {
            (_, Kind::Plain) => never_arrived(HomeError::Banned),
            (Expected::Anything, _) => None,
            _ => never_arrived(edge()),
        },
        400 if expected.is_first() => never_arrived(HomeError::ProxyNotTrusted),
        407 | 429 if expected != Expected::Anything => never_arrived(edge()),
        502 | 504 => may_have_arrived(unreachable()),
        // A home that is stopping answers so, and a gateway that finds nobody behind it.
        503 if expected.is_first() || kind == Kind::Plain => never_arrived(HomeError::Starting),
        // A CDN's: 520 and 524 tell that the home took the request, the others that it did not.
        520 | 524 => may_have_arrived(edge()),
        521..=523 | 525..=530 => never_arrived(edge()),
        500..=599 if expected.is_first() => may_have_arrived(unreachable()),
        _ if expected.is_first() => never_arrived(not_home(STATUS)),
        _ => None,
    }
}

const STATUS: &str = "an unexpected HTTP status";

#[cfg(test)]
mod tests;
