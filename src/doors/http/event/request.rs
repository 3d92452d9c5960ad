//! Reads the few members of an event that a request is made of. No other member is looked at.

use std::collections::HashMap;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::super::base_path::Route;
use super::query;
use super::sender::Sender;
use super::values::{header_path, texts};
use crate::base::json::{MemberError, Members, Object};

/// Characters that must be encoded in a path.
const PATH: &AsciiSet = &query::QUERY.add(b'?');

/// Longer paths with queries no sender takes; and no URL can hold 64 KB.
const MAX_TARGET_BYTES: usize = 32 << 10;

/// Headers that say who calls or what the body is. A request is not served without them if they are there.
const NEEDED: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, COOKIE];

/// A request as its sender describes it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: Method,
    /// The path as it is outside, which begins with a slash.
    pub(super) path: String,
    /// The member that the path is from.
    pub(super) path_member: &'static str,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) route: Route,
}

impl Incoming {
    /// Reads an event.
    pub(super) fn read(sender: Sender, payload: &str) -> Result<Self, MemberError> {
        // The sender was found by the members, so the event is a JSON object.
        let event = Object::outermost(Members::parse(payload).unwrap_or_default());
        let (method, (path_member, path), query, headers, route) = match sender {
            Sender::HttpApi => {
                let context = needed(&event, "requestContext")?;
                let http = needed(&context, "http")?;
                (
                    method(http.text("method")?, "requestContext.http.method")?,
                    match event.text("rawPath")? {
                        Some(path) => ("rawPath", Some(path)),
                        None => ("requestContext.http.path", http.text("path")?),
                    },
                    query::of_text(&event)?,
                    with_cookies(headers(&event, "headers")?, &event)?,
                    route_of_key(&event, &context),
                )
            }
            Sender::RestApi => {
                let mut headers = all_headers(&event)?;
                // Such an API takes base64 for text, unless it was told of binary media types.
                headers.remove(ACCEPT_ENCODING);
                (
                    method(event.text("httpMethod")?, "httpMethod")?,
                    ("path", event.text("path")?),
                    query::of_decoded(&event)?,
                    headers,
                    Route {
                        template: event.members().text("resource"),
                        parameters: path_parameters(&event),
                        stage: None,
                    },
                )
            }
            Sender::LoadBalancer => (
                method(event.text("httpMethod")?, "httpMethod")?,
                ("path", event.text("path")?),
                query::of_encoded(&event)?,
                all_headers(&event)?,
                Route::default(),
            ),
        };
        let Some(path) = path else {
            return Err(MemberError::new(path_member, "is missing"));
        };
        let path = path_of(&path);
        if path.len() + query.len() > MAX_TARGET_BYTES {
            let fault = format!("and the query have more than {MAX_TARGET_BYTES} bytes");
            return Err(MemberError::new(path_member, fault));
        }
        Ok(Self {
            method,
            path,
            path_member,
            query,
            headers,
            body: body(&event)?,
            route,
        })
    }
}

fn needed<'a>(object: &Object<'a>, name: &str) -> Result<Object<'a>, MemberError> {
    let inner = object.object(name)?;
    inner.ok_or_else(|| object.error(name, "is missing"))
}

fn method(name: Option<String>, member: &str) -> Result<Method, MemberError> {
    let name = name.ok_or_else(|| MemberError::new(member, "is missing"))?;
    name.parse()
        .map_err(|_| MemberError::new(member, "is not a method of HTTP"))
}

/// A path that begins with a slash, and has nothing in it that a path cannot have: some senders decode it.
fn path_of(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(path, PATH))
}

fn body(event: &Object<'_>) -> Result<Bytes, MemberError> {
    let body = event.text("body")?.unwrap_or_default();
    match event.flag("isBase64Encoded")? {
        true => STANDARD.decode(body).map(Bytes::from).map_err(|_| {
            event.error(
                "body",
                "is not base64, though `isBase64Encoded` says that it is",
            )
        }),
        false => Ok(body.into()),
    }
}

/// The route of an HTTP API. Its key is a method and a template, or `$default`.
fn route_of_key(event: &Object<'_>, context: &Object<'_>) -> Route {
    let key = event.members().text("routeKey");
    let template = key.as_deref().and_then(|key| key.split_once(' '));
    Route {
        template: template.map(|(_, path)| path.to_owned()),
        parameters: path_parameters(event),
        stage: context.members().text("stage"),
    }
}

fn path_parameters(event: &Object<'_>) -> HashMap<String, String> {
    let parameters = event.members().object("pathParameters");
    let values = parameters.values().filter_map(|(name, raw)| {
        let value = serde_json::from_str(raw.get()).ok()?;
        Some((name.to_owned(), value))
    });
    values.collect()
}

/// The headers with all their values, if the sender has listed those, or else with one value each.
fn all_headers(event: &Object<'_>) -> Result<HeaderMap, MemberError> {
    let all = headers(event, "multiValueHeaders")?;
    match all.is_empty() {
        false => Ok(all),
        true => headers(event, "headers"),
    }
}

/// Reads headers. One that cannot be read is left out, unless the request would mean something else without it.
fn headers(event: &Object<'_>, member: &str) -> Result<HeaderMap, MemberError> {
    let Some(object) = event.object(member)? else {
        return Ok(HeaderMap::new());
    };
    let mut headers = HeaderMap::new();
    for (name, raw) in object.members().values() {
        let path = || header_path(&object, name);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(MemberError::new(path(), "is not a name of a header"));
        };
        // Nobody here asks for the host.
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
                    appended.map_err(|_| MemberError::new(path(), "is one header too many"))?;
                }
            }
            None if NEEDED.contains(&header) => {
                return Err(MemberError::new(path(), "is not the value of a header"));
            }
            None => {}
        }
    }
    Ok(headers)
}

/// HTTP APIs and function URLs list the cookies apart from the other headers.
fn with_cookies(mut headers: HeaderMap, event: &Object<'_>) -> Result<HeaderMap, MemberError> {
    let Some(raw) = event.members().value("cookies") else {
        return Ok(headers);
    };
    let cookies = texts(raw).ok_or_else(|| event.error("cookies", "is not a list of strings"))?;
    let cookies: Vec<String> = cookies
        .into_iter()
        .filter(|cookie| HeaderValue::from_str(cookie).is_ok())
        .collect();
    if let Ok(value) = HeaderValue::try_from(cookies.join("; "))
        && !cookies.is_empty()
    {
        headers.insert(COOKIE, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
