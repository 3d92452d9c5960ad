//! Reads the members of an event that make up a request. It ignores all other members.

use std::collections::HashMap;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT_ENCODING, COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::super::base_path::Route;
use super::query;
use super::sender::Sender;
use crate::base::json::{MemberError, Members, Object};
use crate::doors::headers::{all_headers, headers};
use crate::doors::values::texts;

/// Characters that must be encoded in a path.
const PATH: &AsciiSet = &query::QUERY.add(b'?');

/// The longest path with its query. No sender accepts a longer one, and a `Uri` cannot hold 64 KB.
const MAX_TARGET_BYTES: usize = 32 << 10;

/// A request as its sender describes it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: Method,
    /// The public path, which begins with a slash.
    pub(super) path: String,
    /// The member that contains the path.
    pub(super) path_member: &'static str,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) route: Route,
}

impl Incoming {
    /// Reads an event.
    pub(super) fn read(sender: Sender, payload: &str) -> Result<Self, MemberError> {
        // The sender was detected by the event's members, so the event is a JSON object.
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
                // A REST API treats base64 as text unless binary media types are configured, so responses are not
                // compressed.
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
        .map_err(|_| MemberError::new(member, "is not an HTTP method"))
}

/// Returns a path that begins with a slash and contains only valid path characters. Some senders decode the path.
fn path_of(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(path, PATH))
}

fn body(event: &Object<'_>) -> Result<Bytes, MemberError> {
    let body = event.text("body")?.unwrap_or_default();
    match event.flag("isBase64Encoded")? {
        true => STANDARD
            .decode(body)
            .map(Bytes::from)
            .map_err(|_| event.error("body", "is not base64, but `isBase64Encoded` is true")),
        false => Ok(body.into()),
    }
}

/// Returns the route of an HTTP API. The route key is a method and a template, or `$default`.
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

/// Adds the cookies, which HTTP APIs and function URLs list apart from the other headers.
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
