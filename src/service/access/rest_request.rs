//! A request to Home Assistant's own REST API, read so that it cannot mean one thing here and another there.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::route::RestRoute;
use crate::base::json::{JsonError, unambiguous};
use crate::home::home_assistant::{Command, Expected, RestCall};

/// What is encoded in a step of a path.
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
    /// As it was sent.
    method: Method,
    path: Vec<String>,
    /// Whether the path ends in a slash. The home answers for itself what it makes of that.
    ends_in_slash: bool,
    query: Vec<(String, String)>,
    /// The body as it was sent.
    raw_body: Bytes,
    /// The body of a call.
    body: Result<Option<Value>, RestError>,
}

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The path could be read in more than one way.
    #[error("the path has an empty, dotted or doubly encoded step, or one with a slash in it")]
    Path,
    /// The body of a service call is JSON, but not an object.
    #[error("the body is not a JSON object")]
    Body,
    /// The body of a service call decides what the call is about, and cannot be read, or could be read in two ways.
    #[error("the body is not usable JSON ({0})")]
    BodyJson(#[from] JsonError),
    /// The body of a service call is not UTF-8.
    #[error("the body is not UTF-8 text")]
    BodyText,
}

impl RestRequest {
    /// Reads a request. `path` is what follows `/api`, as it came.
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
        // The body of anything else decides nothing, and may be large.
        if request.is_call() && !request.raw_body.is_empty() {
            request.body = object(&request.raw_body).map(Some);
        }
        Ok(request)
    }

    /// Checks that the body of a call says what the call is about in a way that can be read, and read in one way.
    pub fn with_readable_body(self) -> Result<Self, RestError> {
        match self.body {
            Ok(_) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// The route.
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

    /// The command of the WebSocket that is answered with the same content, if there is one.
    pub fn command(&self) -> Option<Command> {
        // What the home makes of a slash at the end, or of parameters that it does not know, is its own affair.
        let is_plain = !self.ends_in_slash && self.query.is_empty();
        self.route().command().filter(|_| is_plain)
    }

    /// The path and the query as they are passed on: what was decided on, and nothing that could be read otherwise.
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
            // A name alone, as in `?minimal_response`, is one with nothing after it.
            query.append_pair(name, value);
        }
        (path, query.finish())
    }

    /// Whether this is a call of a service, whose body says what it is about.
    pub fn is_call(&self) -> bool {
        matches!(self.route(), RestRoute::Call { .. })
    }

    /// Whether only the headers of the answer are wanted.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The request as the home gets it: what was decided on, and nothing that could be read otherwise. Of the caller's
    /// headers those that are the home's business are passed on.
    pub fn call(&self, mut headers: HeaderMap) -> RestCall {
        let route = self.route();
        let json = HeaderValue::from_static("application/json");
        if matches!(route, RestRoute::Call { .. } | RestRoute::Alexa) {
            // The body is UTF-8. By another charset the home could read something else in it.
            headers.insert(CONTENT_TYPE, json.clone());
        }
        if route.expected() == Expected::Json {
            // Asked for a page, a home answers its errors with one.
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
            // Nothing that reads has one, and on a shared connection it could be taken for the next request.
            body: match only_reads {
                true => Bytes::new(),
                false => self.raw_body.clone(),
            },
            only_reads,
            expected: route.expected(),
        }
    }

    /// The values of a query parameter.
    pub fn query(&self, name: &str) -> impl Iterator<Item = String> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// The body of a call, if it can be read.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref().ok()?.as_ref()
    }
}

/// A body that is an object.
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
    fn a_path_has_one_meaning() {
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
    fn query_and_body_are_read() {
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
        // The body of anything else is the home's business.
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
