//! HTTP responses.

use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

/// The body of any response of this gateway.
pub(super) type Body = Full<Bytes>;

/// Returns a status without a body.
pub(super) fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = code;
    response
}

/// Returns a status with a JSON body.
pub(super) fn json_body(code: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = code;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Returns a status with a JSON body that has this `message`.
pub(super) fn message(code: StatusCode, message: &str) -> Response<Body> {
    json_body(code, &json!({"message": message}))
}

/// Returns an error of an AWS service. The header `x-amzn-errortype` has the name of the error.
pub(super) fn error(code: StatusCode, name: &'static str, text: &str) -> Response<Body> {
    let mut response = message(code, text);
    let name = HeaderValue::from_static(name);
    response.headers_mut().insert("x-amzn-errortype", name);
    response
}
