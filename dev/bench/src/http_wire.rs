//! A raw HTTP connection.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Error;

/// An HTTP connection with a request that it repeats.
pub(super) struct HttpWire {
    sender: SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
}

impl HttpWire {
    /// Uses an open connection.
    pub(super) async fn on(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<Self, Error> {
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(failed)?;
        tokio::spawn(connection);
        Ok(Self { sender, request })
    }

    /// Sends the request once. Returns its time.
    pub(super) async fn ask(&mut self) -> Result<Duration, Error> {
        let started = Instant::now();
        self.sender.ready().await.map_err(failed)?;
        let sent = self.sender.send_request(self.request.clone()).await;
        let response = sent.map_err(failed)?;
        let status = response.status();
        response.into_body().collect().await.map_err(failed)?;
        if !status.is_success() {
            return Err(Error::Wrong(format!("the raw request got {status}")));
        }
        Ok(started.elapsed())
    }
}

fn failed(error: hyper::Error) -> Error {
    Error::Wrong(format!("the raw request failed: {error}"))
}
