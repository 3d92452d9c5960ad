//! Responses that a fault sends in place of a route's response.

use std::{convert::Infallible, io, time::Duration};

use futures_util::stream;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use super::{
    configuration::configuration,
    connection::Connection,
    fault::RestFault,
    response::{
        Body, json_body, json_response, json_text, login_page, redirect, status, status_code,
        with_type,
    },
};

const HUGE_BODY_CHUNK_BYTES: usize = 64 << 10;
const ENDLESS_HEADER: &[u8] =
    b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

/// Responds as the fault demands.
///
/// # Errors
/// If the connection must be closed without a response.
pub(super) async fn respond(
    connection: &Connection,
    fault: RestFault,
) -> io::Result<Response<Body>> {
    let version = &connection.shared.options.ha_version;
    let mut config = configuration(version);
    Ok(match fault {
        RestFault::Hang => match std::future::pending::<Infallible>().await {},
        RestFault::Status(code) => status(status_code(code)),
        RestFault::Redirect => redirect(),
        RestFault::Html => login_page(),
        RestFault::Challenge => {
            let mut response = status(StatusCode::UNAUTHORIZED);
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            response
        }
        RestFault::Text => with_type(StatusCode::OK, "text/plain", "OK".to_owned()),
        RestFault::NotJson => json_text("{\"version\": \"2025".to_owned()),
        RestFault::EmptyJson => json_body(&json!({})),
        RestFault::NoVersion => {
            if let Value::Object(fields) = &mut config {
                fields.remove("version");
            }
            json_body(&config)
        }
        RestFault::JsonArray => json_body(&json!([config])),
        RestFault::Close => {
            connection.wire.close().await;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        RestFault::Reset => {
            connection.wire.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        RestFault::HalfOpen => {
            connection.wire.freeze().await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        RestFault::CutBody => cut_body(config.to_string()),
        RestFault::SlowBody(each) => slow_body(config.to_string(), each),
        RestFault::HugeBody(bytes) => {
            huge_body(format!(r#"{{"version":"{version}","filler":""#), bytes)
        }
        RestFault::EndlessHeaders => {
            connection.wire.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                connection.wire.write_all(ENDLESS_HEADER).await?;
            }
        }
    })
}

/// Returns a response whose body is shorter than its `Content-Length`. hyper closes the connection after the body's
/// error.
fn cut_body(text: String) -> Response<Body> {
    let length = text.len();
    let half = Bytes::from(text).slice(..length / 2);
    let chunks = [
        Ok(Frame::data(half)),
        Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    ];
    let mut response = json_response(StreamBody::new(stream::iter(chunks)).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn slow_body(text: String, each: Duration) -> Response<Body> {
    let bytes = stream::unfold(Bytes::from(text), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(each).await;
        let byte = rest.split_to(1);
        Some((Ok(Frame::data(byte)), rest))
    });
    json_response(StreamBody::new(bytes).boxed_unsync())
}

fn huge_body(head: String, filler_bytes: usize) -> Response<Body> {
    let chunk = Bytes::from(vec![b'x'; HUGE_BODY_CHUNK_BYTES]);
    let filler = (0..filler_bytes.div_ceil(HUGE_BODY_CHUNK_BYTES)).map(move |_| chunk.clone());
    let chunks = std::iter::once(Bytes::from(head))
        .chain(filler)
        .chain([Bytes::from_static(b"\"}")])
        .map(|chunk| Ok(Frame::data(chunk)));
    json_response(StreamBody::new(stream::iter(chunks)).boxed_unsync())
}
