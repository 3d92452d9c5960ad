//! Responses in the formats of the event senders.

use std::borrow::Cow;

use axum::body::{self, Body};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LENGTH, HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Serialize, Serializer};

use super::super::answer::is_text;
use super::sender::Sender;

/// A response in its sender's format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    status_code: u16,
    /// Only for load balancers.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(serialize_with = "first_values")]
    headers: HeaderMap,
    #[serde(serialize_with = "all_values")]
    multi_value_headers: HeaderMap,
    /// The body: text as it is, and other data as base64.
    body: String,
    is_base64_encoded: bool,
    /// Only for payload 2.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<Vec<String>>,
}

impl Answer {
    pub(super) async fn new(sender: Sender, response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        // The body is already in memory, so reading it does not fail. `Content-Length` is removed below: the event
        // has the body as text or base64, so the length can differ.
        let bytes = body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let mut headers = parts.headers;
        headers.remove(CONTENT_LENGTH);
        join_repeated(&mut headers);
        let (body, is_base64_encoded) = match String::from_utf8(bytes.into()) {
            Ok(text) if text.is_empty() || is_text(&headers) => (text, false),
            Ok(text) => (STANDARD.encode(text), true),
            Err(error) => (STANDARD.encode(error.as_bytes()), true),
        };
        let answer = Self {
            status_code: parts.status.as_u16(),
            status_description: None,
            headers: HeaderMap::new(),
            multi_value_headers: HeaderMap::new(),
            body,
            is_base64_encoded,
            cookies: None,
        };
        match sender {
            // A REST API sends the values of both maps, so a value in both maps would be sent twice.
            Sender::RestApi => Self {
                multi_value_headers: headers,
                ..answer
            },
            Sender::HttpApi => Self {
                cookies: Some(cookies(&mut headers)),
                headers,
                ..answer
            },
            // A load balancer uses one of the maps, depending on its settings.
            Sender::LoadBalancer => Self {
                status_description: Some(description(parts.status)),
                headers: headers.clone(),
                multi_value_headers: headers,
                ..answer
            },
        }
    }
}

fn description(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{} {reason}", status.as_u16())
}

/// Removes the cookies from the headers and returns them. Payload 2.0 has a separate member for cookies.
fn cookies(headers: &mut HeaderMap) -> Vec<String> {
    let cookies = headers.get_all(SET_COOKIE).iter();
    let cookies = cookies.map(|value| text_of(value).into_owned()).collect();
    headers.remove(SET_COOKIE);
    cookies
}

/// Returns a header value as a text that JSON can hold.
fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

fn first_values<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    let firsts = headers.keys().filter_map(|name| {
        let value = headers.get(name)?;
        Some((name.as_str(), text_of(value)))
    });
    serializer.collect_map(firsts)
}

fn all_values<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    let all = headers.keys().map(|name| {
        let values = headers.get_all(name).iter().map(text_of);
        (name.as_str(), values.collect::<Vec<_>>())
    });
    serializer.collect_map(all)
}

/// Joins repeated headers to one list, because HTTP APIs and function URLs accept one value per header. Cookies have a
/// separate member.
fn join_repeated(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| *name != SET_COOKIE)
        .cloned()
        .collect();
    for name in names {
        let values: Vec<&[u8]> = headers
            .get_all(&name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if values.len() > 1
            && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b", "[..]))
        {
            headers.insert(name, joined);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(content_type: Option<&'static str>, body: &'static [u8]) -> serde_json::Value {
        let mut response = Response::new(Body::from(body));
        if let Some(kind) = content_type {
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert("content-type", kind);
        }
        serde_json::to_value(Answer::new(Sender::HttpApi, response).await).unwrap()
    }

    #[tokio::test]
    async fn text_bodies_are_sent_as_text_and_other_bodies_as_base64() {
        for (kind, body, sent, is_base64) in [
            (Some("application/json"), &b"{}"[..], "{}", false),
            (Some("text/plain; charset=utf-8"), b"a", "a", false),
            (Some("application/problem+json"), b"{}", "{}", false),
            (Some("image/svg+xml"), b"<svg/>", "<svg/>", false),
            (Some("image/jpeg"), b"a", "YQ==", true),
            (Some("text/plain"), b"\xff", "/w==", true),
            (None, b"a", "a", false),
            (Some("image/jpeg"), b"", "", false),
        ] {
            let answer = answer(kind, body).await;
            assert_eq!(answer["body"], sent, "{kind:?}");
            assert_eq!(answer["isBase64Encoded"], is_base64, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn non_text_header_does_not_prevent_a_response() {
        let mut response = Response::new(Body::empty());
        let value = HeaderValue::from_bytes(b"caf\xe9").unwrap();
        response.headers_mut().insert("x-a", value);
        let answer = Answer::new(Sender::LoadBalancer, response).await;
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(answer["headers"]["x-a"], "caf\u{fffd}");
        assert_eq!(answer["statusDescription"], "200 OK");
    }

    #[test]
    fn repeated_headers_are_joined_except_cookies() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("vary", "origin"),
            ("vary", "accept-encoding"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("etag", "x"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        join_repeated(&mut headers);
        assert_eq!(headers["vary"], "origin, accept-encoding");
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(headers["etag"], "x");
    }
}
