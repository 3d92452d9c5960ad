//! HTTP responses.

use std::io;

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use serde_json::{Value, json};

/// The body of any response of this home.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The path of the login page of an access proxy.
pub(super) const LOGIN_PATH: &str = "/cdn-cgi/access/login";
const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
    <body><h1>Sign in to continue</h1><form method=\"post\"></form></body></html>\n";

/// Returns a status code, or 500 for an invalid one.
pub(super) fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns a status with aiohttp's body for it, such as `401: Unauthorized`.
pub(super) fn status(code: StatusCode) -> Response<Body> {
    let reason = code.canonical_reason().unwrap_or_default();
    let text = format!("{}: {reason}", code.as_u16());
    with_type(code, "text/plain; charset=utf-8", text)
}

/// Returns a redirect to the login page.
pub(super) fn redirect() -> Response<Body> {
    let mut response = with_type(StatusCode::FOUND, "text/html", String::new());
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(LOGIN_PATH));
    response
}

pub(super) fn login_page() -> Response<Body> {
    with_type(
        StatusCode::OK,
        "text/html; charset=utf-8",
        LOGIN_PAGE.to_owned(),
    )
}

/// Returns a status with a JSON body that has this `message`.
pub(super) fn message(code: StatusCode, message: &str) -> Response<Body> {
    let mut response = json_body(&json!({"message": message}));
    *response.status_mut() = code;
    response
}

pub(super) fn json_body(value: &Value) -> Response<Body> {
    json_text(value.to_string())
}

pub(super) fn json_text(text: String) -> Response<Body> {
    with_type(StatusCode::OK, "application/json", text)
}

pub(super) fn json_response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn with_type(
    code: StatusCode,
    content_type: &'static str,
    text: String,
) -> Response<Body> {
    let body = Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
