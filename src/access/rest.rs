//! A request to Home Assistant's own REST API, read so that it cannot mean one thing here and another there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

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
    method: String,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<Value>,
}

/// Why a request is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The path could be read in more than one way.
    #[error("the path has an empty, dotted or doubly encoded step, or one with a slash in it")]
    Path,
    /// The body of a service call decides what it is about.
    #[error("the body is not a JSON object")]
    Body,
}

impl RestRequest {
    /// Reads a request. `path` is what follows `/api`, as it came.
    pub fn new(method: &str, path: &str, query: &str, body: &[u8]) -> Result<Self, RestError> {
        let path = path.strip_prefix('/').unwrap_or(path);
        // Home Assistant's paths have no slash at their end but for `/api/` itself.
        let steps: Result<Vec<String>, RestError> = match path {
            "" => Ok(Vec::new()),
            path => path.split('/').map(step).collect(),
        };
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let mut request = Self {
            method: if method == "HEAD" { "GET" } else { method }.to_owned(),
            path: steps?,
            query: query.collect(),
            body: None,
        };
        // The body of anything else decides nothing, and may be large.
        if request.is_call() {
            request.body = serde_json::from_slice(body).ok();
        }
        Ok(request)
    }

    /// Checks that the body of a call says what it is about in a way that can be read.
    pub fn with_readable_body(self, has_body: bool) -> Result<Self, RestError> {
        match &self.body {
            Some(Value::Object(_)) => Ok(self),
            None if !has_body => Ok(self),
            _ => Err(RestError::Body),
        }
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
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.query {
            // A name alone, as in `?minimal_response`, is one with nothing after it.
            query.append_pair(name, value);
        }
        (path, query.finish())
    }

    /// Whether this is a call of a service, whose body says what it is about.
    pub fn is_call(&self) -> bool {
        self.method == "POST" && self.path.first().is_some_and(|step| step == "services")
    }

    /// Whether it only reads, as far as is known of the home's paths: elsewhere a GET may do something (a webhook).
    pub fn only_reads(&self) -> bool {
        let path: Vec<&str> = self.path().collect();
        self.method == "GET"
            && matches!(
                path.as_slice(),
                [] | ["config" | "states" | "services" | "events" | "calendars" | "logbook"]
                    | ["states" | "calendars" | "camera_proxy" | "logbook", _]
                    | ["history", "period"]
                    | ["history", "period", _]
            )
    }

    /// The method; HEAD counts as GET.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The steps of the path after `/api`, decoded.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map(String::as_str)
    }

    /// The values of a query parameter.
    pub fn query(&self, name: &str) -> impl Iterator<Item = String> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// The body of a call, if it is JSON.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
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
            RestRequest::new("GET", text, "", b"").map(|request| request.path.join("|"))
        };
        assert_eq!(path("/").unwrap(), "");
        assert_eq!(path("").unwrap(), "");
        assert_eq!(path("/states/light.a").unwrap(), "states|light.a");
        assert_eq!(path("/states/light%2Ea").unwrap(), "states|light.a");
        for bad in [
            "//states",
            "/states/",
            "/states//light.a",
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
            "POST",
            "/services/light/turn_on",
            "filter_entity_id=a.b%2Cc.d&filter_entity_id=e.f&x",
            br#"{"entity_id":"light.a"}"#,
        )
        .unwrap();
        let ids: Vec<String> = request.query("filter_entity_id").collect();
        assert_eq!(ids, ["a.b,c.d", "e.f"]);
        assert!(request.body().is_some());
        let no_json = RestRequest::new("POST", "/x", "", b"{").unwrap();
        assert_eq!(no_json.with_readable_body(true), Err(RestError::Body));
        assert_eq!(
            request.target(),
            (
                "/api/services/light/turn_on".to_owned(),
                "filter_entity_id=a.b%2Cc.d&filter_entity_id=e.f&x=".to_owned()
            )
        );
        let period = "/history/period/2026-01-01T00%3A00%3A00%2B00%3A00";
        let dated = RestRequest::new("GET", period, "", b"").unwrap();
        assert_eq!(
            dated.target().0,
            "/api/history/period/2026-01-01T00:00:00+00:00"
        );
        let nothing = RestRequest::new("POST", "/x", "", b" ").unwrap();
        assert!(nothing.with_readable_body(false).is_ok());
    }
}
