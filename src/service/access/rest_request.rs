//! A request to Home Assistant's own REST API, parsed so that latchkey and the home cannot read it differently.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::route::RestRoute;
use crate::base::json::{JsonError, unambiguous};
use crate::home::home_assistant::{Command, Expected, RestCall};

/// The characters that are percent-encoded in a path segment.
const STEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'+');

/// A request below `/api/`.
#[derive(Clone, Debug, PartialEq)]
pub struct RestRequest {
    method: Method,
    /// The decoded segments of the path.
    path: Vec<String>,
    /// True if the path ends in a slash. The home decides whether such a path exists.
    ends_in_slash: bool,
    query: Vec<(String, String)>,
    /// The body as it was received.
    raw_body: Bytes,
    /// The parsed body of a service call.
    body: Result<Option<Value>, RestError>,
}

/// The error of a request that is not sent to the home.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The path is ambiguous.
    #[error(
        "the path has a segment that is empty, dotted or doubly encoded, or that contains a slash"
    )]
    Path,
    /// The body of a service call is JSON, but not an object.
    #[error("the body is not a JSON object")]
    Body,
    /// The body of a service call, which names the targets of the call, is not JSON or is ambiguous.
    #[error("the body cannot be parsed as JSON ({0})")]
    BodyJson(#[from] JsonError),
    /// The body of a service call is not UTF-8.
    #[error("the body is not UTF-8 text")]
    BodyText,
}

impl RestRequest {
    /// Parses a request. `path` is the received path after `/api`.
    pub fn new(method: Method, path: &str, query: &str, body: Bytes) -> Result<Self, RestError> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (path, ends_in_slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let steps: Result<Vec<String>, RestError> = match path {
            "" if !ends_in_slash => Ok(Vec::new()),
            path => path.split('/').map(step).collect(),
        };
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let mut request = Self {
            method,
            path: steps?,
            ends_in_slash,
            query: query.collect(),
            raw_body: body,
            body: Ok(None),
        };
        // Other bodies are not parsed: authorisation does not depend on them, and they may be large.
        if request.is_call() && !request.raw_body.is_empty() {
            request.body = object(&request.raw_body).map(Some);
        }
        Ok(request)
    }

    /// Checks that the body of a service call is valid and unambiguous.
    pub fn with_readable_body(self) -> Result<Self, RestError> {
        match self.body {
            Ok(_) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// Returns the route. A HEAD request has the route of its GET request.
    pub fn route(&self) -> RestRoute<'_> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        RestRoute::of(
            if self.is_head() {
                &Method::GET
            } else {
                &self.method
            },
            &path,
        )
    }

    /// Returns the WebSocket command with the same answer, if such a command exists.
    pub fn command(&self) -> Option<Command> {
        // The home itself handles a trailing slash and unknown query parameters.
        let is_plain = !self.ends_in_slash && self.query.is_empty();
        self.route().command().filter(|_| is_plain)
    }

    /// Returns the path and the query for the home. They are encoded from the parsed values on which the authorisation
    /// was based, so they are unambiguous.
    pub fn target(&self) -> (String, String) {
        let mut path = "/api/".to_owned();
        for (number, step) in self.path.iter().enumerate() {
            if number > 0 {
                path.push('/');
            }
            path.extend(utf8_percent_encode(step, STEP));
        }
        path.extend(self.ends_in_slash.then_some('/'));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.query {
            // A name without a value, as in `?minimal_response`, becomes a name with an empty value.
            query.append_pair(name, value);
        }
        (path, query.finish())
    }

    /// Returns true if this is a service call. The body of a service call names its targets.
    pub fn is_call(&self) -> bool {
        matches!(self.route(), RestRoute::Call { .. })
    }

    /// Returns true for a HEAD request.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// Returns the request for the home. It contains only the values on which the authorisation was based. `headers`
    /// are the caller's headers that are forwarded.
    pub fn call(&self, mut headers: HeaderMap) -> RestCall {
        let route = self.route();
        let json = HeaderValue::from_static("application/json");
        if matches!(route, RestRoute::Call { .. } | RestRoute::Alexa) {
            // The body is UTF-8. With another charset, the home could read another text.
            headers.insert(CONTENT_TYPE, json.clone());
        }
        if route.expected() == Expected::Json {
            // With `Accept: text/html`, a home answers its errors with an HTML page.
            headers.insert(ACCEPT, json);
        }
        let (path, query) = self.target();
        let only_reads = route.only_reads();
        RestCall {
            method: match only_reads {
                true => Method::GET,
                false => self.method.clone(),
            },
            path,
            query,
            headers,
            // A read-only request has no body. On a shared connection, a body could be read as the next request.
            body: match only_reads {
                true => Bytes::new(),
                false => self.raw_body.clone(),
            },
            only_reads,
            expected: route.expected(),
        }
    }

    /// Returns the values of a query parameter.
    pub fn query(&self, name: &str) -> impl Iterator<Item = String> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// Returns the parsed body of a service call. `None` if it is empty or invalid.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref().ok()?.as_ref()
    }
}

/// Parses a body that must be a JSON object.
fn object(body: &[u8]) -> Result<Value, RestError> {
    let text = std::str::from_utf8(body).map_err(|_| RestError::BodyText)?;
    match unambiguous(text)? {
        object @ Value::Object(_) => Ok(object),
        _ => Err(RestError::Body),
    }
}

fn step(step: &str) -> Result<String, RestError> {
    let text = percent_decode_str(step)
        .decode_utf8()
        .map_err(|_| RestError::Path)?;
    let is_plain = !text.is_empty()
        && text != "."
        && text != ".."
        && !text.contains(['/', '\\', '%'])
        && !text.chars().any(char::is_control);
    is_plain.then(|| text.into_owned()).ok_or(RestError::Path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_path_is_rejected() {
        let path = |text: &str| {
            RestRequest::new(Method::GET, text, "", Bytes::new())
                .map(|request| request.path.join("|"))
        };
        assert_eq!(path("/").unwrap(), "");
        assert_eq!(path("").unwrap(), "");
        assert_eq!(path("/states/light.a").unwrap(), "states|light.a");
        assert_eq!(path("/states/light%2Ea").unwrap(), "states|light.a");
        assert_eq!(path("/states/").unwrap(), "states");
        for bad in [
            "//states",
            "//",
            "/states//light.a",
            "/states//",
            "/states/../config",
            "/states/%2e%2e/config",
            "/states/light.a%2Fx",
            "/states/%252e",
            "/states/a\\b",
            "/states/%00",
            "/states/%ff",
        ] {
            assert_eq!(path(bad), Err(RestError::Path), "{bad}");
        }
    }

    #[test]
    fn request_parses_query_and_body() {
        let request = RestRequest::new(
            Method::POST,
            "/services/light/turn_on",
            "filter_entity_id=a.b%2Cc.d&filter_entity_id=e.f&x",
            Bytes::from_static(br#"{"entity_id":"light.a"}"#),
        )
        .unwrap();
        let ids: Vec<String> = request.query("filter_entity_id").collect();
        assert_eq!(ids, ["a.b,c.d", "e.f"]);
        assert!(request.body().is_some());
        let call = |body: &[u8]| {
            let body = Bytes::copy_from_slice(body);
            let path = "/services/light/turn_on";
            RestRequest::new(Method::POST, path, "", body)?.with_readable_body()
        };
        assert!(call(b"").unwrap().body().is_none());
        assert_eq!(call(b"[]").unwrap_err(), RestError::Body);
        assert_eq!(call(b"\xff").unwrap_err(), RestError::BodyText);
        for body in [
            &b"{"[..],
            b" ",
            br#"{"entity_id":"light.a","entity_id":"lock.b"}"#,
        ] {
            assert!(
                matches!(call(body), Err(RestError::BodyJson(_))),
                "{body:?}"
            );
        }
        // Only the body of a service call is checked.
        let other = RestRequest::new(Method::POST, "/x", "", Bytes::from_static(b"{")).unwrap();
        assert!(other.with_readable_body().is_ok());
        assert_eq!(
            request.target(),
            (
                "/api/services/light/turn_on".to_owned(),
                "filter_entity_id=a.b%2Cc.d&filter_entity_id=e.f&x=".to_owned()
            )
        );
        let period = "/history/period/2026-01-01T00%3A00%3A00%2B00%3A00";
        let dated = RestRequest::new(Method::GET, period, "", Bytes::new()).unwrap();
        assert_eq!(
            dated.target().0,
            "/api/history/period/2026-01-01T00:00:00+00:00"
        );
        let slash = RestRequest::new(Method::GET, "/states/", "", Bytes::new()).unwrap();
        assert_eq!(slash.target().0, "/api/states/");
        assert!(slash.command().is_none());
        assert_eq!(slash.route(), RestRoute::States);
    }
}
