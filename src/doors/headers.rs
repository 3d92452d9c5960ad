//! Reads the headers of an event.

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::values::{header_path, texts};
use crate::base::json::{MemberError, Object};

/// The headers that identify the caller or describe the body. An unreadable one is an error.
const NEEDED: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, COOKIE];

/// Returns the headers with all their values if the sender lists them, or else with one value each.
pub(super) fn all_headers(event: &Object<'_>) -> Result<HeaderMap, MemberError> {
    let all = headers(event, "multiValueHeaders")?;
    match all.is_empty() {
        false => Ok(all),
        true => headers(event, "headers"),
    }
}

/// Reads headers. An unreadable header is skipped, unless it changes the meaning of the request.
pub(super) fn headers(event: &Object<'_>, member: &str) -> Result<HeaderMap, MemberError> {
    let Some(object) = event.object(member)? else {
        return Ok(HeaderMap::new());
    };
    let mut headers = HeaderMap::new();
    for (name, raw) in object.members().values() {
        let path = || header_path(&object, name);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(MemberError::new(path(), "is not a valid header name"));
        };
        // The host is not used.
        if header == HOST {
            continue;
        }
        let values: Option<Vec<HeaderValue>> = texts(raw).and_then(|texts| {
            let values = texts.into_iter().map(HeaderValue::try_from);
            values.collect::<Result<_, _>>().ok()
        });
        match values {
            Some(values) => {
                for value in values {
                    let appended = headers.try_append(&header, value);
                    appended.map_err(|_| {
                        MemberError::new(path(), "exceeds the maximum number of headers")
                    })?;
                }
            }
            None if NEEDED.contains(&header) => {
                return Err(MemberError::new(path(), "is not a valid header value"));
            }
            None => {}
        }
    }
    Ok(headers)
}
