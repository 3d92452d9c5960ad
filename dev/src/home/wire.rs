//! The byte stream of a connection. A fault can close or freeze the stream while HTTP or WebSocket uses it.

use std::{
    future::poll_fn,
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::lock::locked;

/// A TCP connection, with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Closes the connection with RST instead of FIN.
    pub(super) fn reset(self) {
        let tcp = match &self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        };
        // An error means that the socket is already closed.
        let _ = tcp.set_zero_linger();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// A shared [`Stream`]. hyper or tungstenite uses one handle, the faults use another.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Open(Stream),
    /// Open for the peer, while reads and writes on this side never complete.
    Frozen(#[expect(dead_code, reason = "keeps the connection open")] Stream),
    Gone,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(State::Open(stream))))
    }

    fn take(&self) -> Option<Stream> {
        match mem::replace(&mut *locked(&self.0), State::Gone) {
            State::Open(stream) => Some(stream),
            State::Frozen(_) | State::Gone => None,
        }
    }

    /// Closes with RST at once.
    pub(super) fn reset(&self) {
        if let Some(stream) = self.take() {
            stream.reset();
        }
    }

    /// Closes with FIN.
    pub(super) async fn close(&self) {
        if let Some(mut stream) = self.take() {
            // An error means that the peer closed the connection first.
            let _ = stream.shutdown().await;
        }
    }

    /// Keeps the connection open, but never reads or writes again. Never returns.
    pub(super) async fn freeze(&self) {
        if let Some(stream) = self.take() {
            *locked(&self.0) = State::Frozen(stream);
        }
        std::future::pending::<()>().await;
    }

    /// Writes raw bytes, below HTTP or WebSocket.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut wire = self.clone();
        while !bytes.is_empty() {
            let written = poll_fn(|cx| Pin::new(&mut wire).poll_write(cx, bytes)).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        poll_fn(|cx| Pin::new(&mut wire).poll_flush(cx)).await
    }

    fn poll<T>(
        &self,
        operation: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut *locked(&self.0) {
            State::Open(stream) => operation(Pin::new(stream)),
            State::Frozen(_) => Poll::Pending,
            State::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_shutdown(cx))
    }
}
