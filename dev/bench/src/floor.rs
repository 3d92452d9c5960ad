//! The floor of each request: a raw connection, without latchkey.

use std::time::{Duration, Instant};

use http_body_util::Full;

use crate::command::turn_on;
use crate::error::Error;
use crate::http_wire::HttpWire;
use crate::request::{Request, RestRequest};
use crate::surroundings::DistantHome;
use crate::wire::Wire;

/// An open connection to a home.
pub(super) enum Floor {
    /// An authenticated WebSocket.
    Socket(Box<Wire>),
    /// An HTTP connection.
    Http(Box<HttpWire>),
}

impl Floor {
    /// Opens the connection that a request needs.
    pub(super) async fn open(home: &DistantHome, request: Request) -> Result<Self, Error> {
        Ok(match request.rest() {
            None => Self::Socket(Box::new(Wire::open(home).await?)),
            Some(rest) => Self::Http(Box::new(open(home, rest).await?)),
        })
    }

    /// Sends the request once. Returns its time.
    pub(super) async fn ask(&mut self) -> Result<Duration, Error> {
        match self {
            Self::Socket(wire) => wire.command(&turn_on()).await,
            Self::Http(wire) => wire.ask().await,
        }
    }

    /// Opens a connection and sends the request once. Returns the total time.
    pub(super) async fn from_nothing(
        home: &DistantHome,
        request: Request,
    ) -> Result<Duration, Error> {
        let Some(rest) = request.rest() else {
            return Wire::first_command(home).await;
        };
        let started = Instant::now();
        open(home, rest).await?.ask().await?;
        Ok(started.elapsed())
    }
}

/// Opens an HTTP connection to a home.
async fn open(home: &DistantHome, request: RestRequest) -> Result<HttpWire, Error> {
    let body = request
        .body
        .map(|body| body.to_string())
        .unwrap_or_default();
    let request = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header("host", home.near_end().to_string())
        .header("authorization", format!("Bearer {}", home.token()))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .map_err(|error| Error::Wrong(format!("the raw request is invalid: {error}")))?;
    HttpWire::on(home.connect().await?, request).await
}
