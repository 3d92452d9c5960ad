//! The server's handle.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::routes;
use super::state::{Answer, Shared, TIMEOUT};
use crate::error::Error;

/// The server for one execution environment. It runs on the tokio runtime that starts it. Dropping it ends the server.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    /// Starts a server. If `is_concurrent` is false, the environment runs one invocation at a time.
    pub(crate) async fn start(is_concurrent: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(is_concurrent));
        let server = tokio::spawn(routes::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// Returns the address that the server listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the runtime's first request for an invocation. Returns the time of that request.
    pub(crate) async fn first_asked(&self) -> Instant {
        let mut first_asked = self.shared.first_asked.subscribe();
        if let Ok(asked) = first_asked.wait_for(Option::is_some).await
            && let Some(at) = *asked
        {
            return at;
        }
        // Unreachable: `self` owns the sender.
        std::future::pending().await
    }

    /// Waits until the function is idle. Lambda would freeze the environment then.
    pub(crate) async fn idle(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if self.shared.lock().is_idle() || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Runs one invocation, which starts when the function is idle.
    pub(crate) async fn invoke(&self, payload: impl Into<Bytes>) -> Result<Answer, Error> {
        let answered = self.shared.enqueue(payload.into());
        match tokio::time::timeout(TIMEOUT, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Error::NoAnswer {
                seconds: TIMEOUT.as_secs(),
            }),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests;
