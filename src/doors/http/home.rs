//! Home Assistant's own REST API, for clients that do not know latchkey.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION, RANGE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use super::answer::{MayHaveActed, Refused};
use super::shared::Shared;
use super::{body_of, invocation_of};
use crate::base::clock::Limit;
use crate::doors::callers_token::token;
use crate::home::home_assistant::{BrokenAnswer, HomeError, JsonSlice, RestAnswer};
use crate::service::access::{Permitted, RestRequest, Unreadable};
use crate::service::app::SessionRead;

/// Forwards a request to the home.
pub(super) async fn pass_on(
    State(Shared { app, origins }): State<Shared>,
    request: Request,
) -> Result<Response, Refused> {
    let caller = app.admit(token(request.headers(), &origins)?).await?;
    let invocation = invocation_of(&app, &request)?;
    let (parts, body) = request.into_parts();
    let body = body_of(Request::new(body)).await?;
    let path = parts.uri.path();
    let path = path.strip_prefix("/api").unwrap_or(path);
    let query = parts.uri.query().unwrap_or_default();
    let rest = RestRequest::new(parts.method, path, query, body)?;
    let permitted = Permitted::request(&caller, rest.with_readable_body()?)?;
    let home = app.home_of(&caller, None, invocation.tenant())?;
    if let SessionRead::Answered(result) = app.read(&permitted, home, &invocation).await? {
        return Ok(from_session(result, &permitted)?);
    }
    let mut headers = parts.headers;
    if permitted.permit().redacts_answer(permitted.what()) {
        // These headers refer to the whole answer, and the caller gets only a part.
        for name in [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            headers.remove(name);
        }
    }
    let answer = app.pass_on(&permitted, headers, home, &invocation).await?;
    Ok(response(answer, &permitted, app.time_left(&invocation)).await?)
}

/// Creates the response from a result of the session, without a REST request.
fn from_session(
    result: Option<JsonSlice>,
    permitted: &Permitted<RestRequest>,
) -> Result<Response, BrokenAnswer> {
    let (permit, request) = (permitted.permit(), permitted.what());
    let body = request.route().answer(result);
    let body = body.and_then(|body| match permit.redacts_answer(request) {
        true => permit.redacted_answer(request, &body).map(Bytes::from),
        false => Ok(body),
    });
    let body = body.map_err(|error| unreadable(error, false))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(match request.is_head() {
        true => Body::empty(),
        false => Body::from(body),
    });
    *response.headers_mut() = visible(&headers);
    Ok(response)
}

/// Creates the error for an answer that cannot be redacted. The caller does not get the answer, so the caller does not
/// know the outcome of the request.
fn unreadable(_: Unreadable, may_have_acted: bool) -> BrokenAnswer {
    BrokenAnswer {
        error: HomeError::NotHomeAssistant {
            seen: "an answer with an unexpected shape",
        },
        may_have_acted,
    }
}

/// The headers of a home's answer that the caller gets. All other headers belong to the connection, or to a proxy
/// between home and caller: its cookies, its policies, its CORS rules.
const PASSED_BACK: [HeaderName; 10] = [
    ACCEPT_RANGES,
    ALLOW,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
    LAST_MODIFIED,
    RETRY_AFTER,
];

/// The headers that describe the whole body.
const OF_THE_WHOLE: [HeaderName; 5] = [
    ACCEPT_RANGES,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    ETAG,
    LAST_MODIFIED,
];

/// The time limit for reading a body that is not sent to the caller.
const DISCARD_LIMIT: Duration = Duration::from_millis(100);

/// The longest answer that is collected before it is sent. Collecting a short answer has no cost, and the compression
/// layer then knows its length.
const GATHERED_BYTES: u64 = 64 << 10;

/// Streams the home's answer unchanged, or redacts the parts that the caller may not read.
async fn response(
    answer: RestAnswer,
    permitted: &Permitted<RestRequest>,
    time_left: Limit,
) -> Result<Response, BrokenAnswer> {
    let (permit, request) = (permitted.permit(), permitted.what());
    let mut headers = visible(&answer.headers);
    let acts = MayHaveActed(answer.body.may_have_acted());
    let is_short = answer
        .body
        .length()
        .is_some_and(|length| length <= GATHERED_BYTES);
    let body = if request.is_head() {
        if is_short {
            // The connection can be used again only after the body was read. The answer does not depend on the body.
            let duration = time_left.duration.min(DISCARD_LIMIT);
            let discarded = answer.body.whole(Limit {
                duration,
                ..time_left
            });
            let _ = discarded.await;
        }
        Body::empty()
    } else if answer.status.is_success() && permit.redacts_answer(request) {
        for name in OF_THE_WHOLE {
            headers.remove(name);
        }
        let whole = answer.body.whole(time_left).await?;
        let redacted = permit.redacted_answer(request, &whole);
        Body::from(redacted.map_err(|error| unreadable(error, acts.0))?)
    } else if !answer.status.is_success() && permit.redacts() {
        for name in OF_THE_WHOLE {
            headers.remove(name);
        }
        let whole = answer.body.whole(time_left).await?;
        Body::from(permit.redacted_error(request, &whole))
    } else if is_short {
        Body::from(answer.body.whole(time_left).await?)
    } else {
        Body::from_stream(answer.body.parts())
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(acts);
    Ok(response)
}

fn visible(headers: &HeaderMap) -> HeaderMap {
    let mut visible = HeaderMap::new();
    for name in PASSED_BACK {
        // An event can carry only text.
        let values = headers.get_all(&name).into_iter();
        for value in values.filter(|value| value.to_str().is_ok()) {
            visible.append(name.clone(), value.clone());
        }
    }
    // A location outside the home is useless to the caller and reveals the home's address.
    let location = headers.get(LOCATION).filter(|value| {
        let text = value.to_str().unwrap_or_default();
        text.starts_with('/') && !text.starts_with("//")
    });
    if let Some(location) = location {
        visible.insert(LOCATION, location.clone());
    }
    // A caller with another token may get another answer.
    let private = HeaderValue::from_static("private, no-store");
    visible.insert(CACHE_CONTROL, private);
    visible.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_for_the_caller_are_passed_back() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("etag", "\"x\""),
            ("location", "/api/states/light.a"),
            ("set-cookie", "CF_Authorization=secret"),
            ("access-control-allow-origin", "*"),
            ("clear-site-data", "*"),
            ("transfer-encoding", "chunked"),
            ("www-authenticate", "Basic"),
            ("x-anything", "y"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append(
            "content-language",
            HeaderValue::from_bytes(b"caf\xe9").unwrap(),
        );
        let visible = visible(&headers);
        let mut names: Vec<&str> = visible.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "cache-control",
                "content-type",
                "etag",
                "location",
                "x-content-type-options"
            ]
        );
        assert_eq!(visible["cache-control"], "private, no-store");
    }

    #[test]
    fn location_with_the_home_address_is_not_shown() {
        for (location, shown) in [
            ("/api/states/light.a", true),
            ("http://192.0.2.1:8123/x", false),
            ("//192.0.2.1/x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            assert_eq!(
                visible(&headers).contains_key(LOCATION),
                shown,
                "{location}"
            );
        }
    }
}
