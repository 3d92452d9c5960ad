//! One HTTP/1.1 connection to a home, which carries one request at a time.
//!
//! The connection is ours, not that of a pool inside an HTTP client. So latchkey can check the socket before it writes,
//! and knows after an error whether the home may have received a part of the request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use url::Url;

use super::error::{HomeError, Stage};
use super::socket_watch::{SocketState, SocketWatch};
use super::target::Target;
use super::transport::{Stream, Transport, from_io, from_source, sources};
use crate::base::clock::Timestamp;
use crate::base::secret::AccessToken;

/// A request to a home.
pub(super) type HttpRequest = Request<Full<Bytes>>;

/// An open connection without a request in flight.
pub(super) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    watch: SocketWatch,
    has_written: Arc<AtomicBool>,
    /// The time of the last request that the home answered. Before that, the time when the connection was begun.
    pub(super) answered: Timestamp,
}

/// The reason why a request has no response.
#[derive(Debug)]
pub(super) enum SendError {
    /// No byte of the request was written.
    NotSent(HomeError),
    /// At least a part of the request was written.
    Lost(HomeError),
}

impl SendError {
    pub(super) fn into_error(self) -> HomeError {
        match self {
            Self::NotSent(error) | Self::Lost(error) => error,
        }
    }
}

impl HttpConnection {
    /// Opens a connection. Name resolution, TCP and TLS together take at most the connect timeout. `began` is the time
    /// at which the attempt begins.
    pub(super) async fn open(
        target: &Target,
        transport: &Transport,
        began: Timestamp,
    ) -> Result<Self, HomeError> {
        let mut stage = Stage::Dns;
        let connecting = transport.connect(&target.address, &mut stage);
        let connected = tokio::time::timeout(target.limits.connect_timeout, connecting).await;
        let stream = connected.unwrap_or(Err(HomeError::Timeout { stage }))?;
        let watch = SocketWatch::of(&stream).map_err(|error| from_io(&error, Stage::Tcp))?;
        let has_written = Arc::new(AtomicBool::new(false));
        let noting = NotingStream {
            stream,
            has_written: has_written.clone(),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(noting))
            .await
            .map_err(|error| classify(&error, Stage::Tcp))?;
        // The task ends when the sender is dropped or the home closes the connection. Each request reports its own
        // error.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            watch,
            has_written,
            // A freeze while the connection is being opened makes it old.
            answered: began,
        })
    }

    /// Returns true if, as far as the kernel knows, the home has not closed the connection. Costs no round trip.
    pub(super) async fn is_open(&self) -> bool {
        // Unread bytes before a request are not a response.
        self.watch.state().await == SocketState::Quiet && !self.sender.is_closed()
    }

    /// Returns true if the home is known to have closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the connection can take a request: until the last request is written and its response is read.
    pub(super) async fn ready(&mut self, stage: Stage) -> Result<(), SendError> {
        let ready = self.sender.ready().await;
        ready.map_err(|error| SendError::NotSent(classify(&error, stage)))
    }

    /// Sends a request and waits for the head of the response. The body must be read before the next request.
    pub(super) async fn send(
        &mut self,
        request: HttpRequest,
        stage: Stage,
        now: impl Fn() -> Timestamp,
    ) -> Result<Response<Incoming>, SendError> {
        self.ready(stage).await?;
        self.has_written.store(false, Ordering::Release);
        // The time before the request: a freeze may separate it from the response.
        let sent = now();
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                self.answered = sent;
                Ok(response)
            }
            Err(failed) => {
                let error = classify(failed.error(), stage);
                Err(match self.has_written.load(Ordering::Acquire) {
                    true => SendError::Lost(error),
                    false => SendError::NotSent(error),
                })
            }
        }
    }
}

/// Builds a request with the headers that every request to the home has. `headers` take precedence.
pub(super) fn request(
    method: Method,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
    transport: &Transport,
) -> Result<HttpRequest, HomeError> {
    let invalid = |_| HomeError::NotHomeAssistant {
        seen: "an address that HTTP cannot express",
    };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(body))
        .map_err(invalid)?;
    let all = request.headers_mut();
    *all = headers;
    for (name, value) in transport.headers() {
        if !all.contains_key(name) {
            all.insert(name, value.clone());
        }
    }
    let common = [
        (
            HOST,
            HeaderValue::from_str(authority).map_err(|error| invalid(error.into()))?,
        ),
        (ACCEPT, HeaderValue::from_static("*/*")),
        (
            USER_AGENT,
            HeaderValue::from_static(concat!("latchkey/", env!("CARGO_PKG_VERSION"))),
        ),
    ];
    for (name, value) in common {
        all.entry(name).or_insert(value);
    }
    Ok(request)
}

/// Returns the value of the `Authorization` header for a token.
pub(super) fn bearer(token: &AccessToken) -> Result<HeaderValue, HomeError> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    // The offline checks accept only visible ASCII, which is valid in every header.
    let mut value = HeaderValue::from_str(&text).map_err(|_| HomeError::Rejected)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Converts the error of a request without a response, or of a response that was cut off.
pub(super) fn classify(error: &hyper::Error, stage: Stage) -> HomeError {
    // The server on that port does not speak HTTP like a home.
    if sources(error)
        .filter_map(|source| source.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse)
    {
        return HomeError::NotHomeAssistant {
            seen: "no usable HTTP response",
        };
    }
    from_source(error, stage)
}

/// A stream that records whether a byte was written to it.
struct NotingStream {
    stream: Stream,
    has_written: Arc<AtomicBool>,
}

impl NotingStream {
    /// Records the result of a write. A failed write of plain TCP has written no byte. A failed write of TLS may have
    /// written a part.
    fn note(&self, written: &Poll<io::Result<usize>>) {
        let is_written = match written {
            Poll::Ready(Ok(bytes)) => *bytes > 0,
            Poll::Ready(Err(_)) => matches!(self.stream, Stream::Right(_)),
            Poll::Pending => false,
        };
        if is_written {
            self.has_written.store(true, Ordering::Release);
        }
    }
}

impl AsyncRead for NotingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for NotingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
