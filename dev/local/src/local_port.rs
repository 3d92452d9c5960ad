//! latchkey's HTTP API on a local port, without Lambda.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lambda_runtime::Context;
use lambda_runtime::tower::Service as _;
use latchkey::doors::function::Function;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The timeout of a request, which stands for the timeout of an invocation.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A port on loopback that serves latchkey's HTTP API until it is dropped.
#[derive(Debug)]
pub struct LocalPort {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl LocalPort {
    /// Opens a port that the system chooses.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn open(function: Arc<Function>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, function));
        Ok(Self { address, server })
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for LocalPort {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, function: Arc<Function>) {
    // Dropping the set aborts all connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((tcp, _)) = accepted else { continue };
                // With Nagle's algorithm, small responses would wait for an acknowledgement.
                let _ = tcp.set_nodelay(true);
                let function = function.clone();
                let service = service_fn(move |request| answer(function.clone(), request));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
                connections.spawn(connection);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    function: Arc<Function>,
    mut request: http::Request<Incoming>,
) -> Result<http::Response<impl Body<Data = Bytes, Error: Into<BoxError>>>, Infallible> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut context = Context::default();
    context.request_id = format!("{:016x}", fastrand::u64(..));
    context.deadline = u64::try_from((now + TIMEOUT).as_millis()).unwrap_or(u64::MAX);
    let deadline = context.deadline;
    request.extensions_mut().insert(context);
    let response = function.router().call(request).await;
    // In Lambda, the extension does this after the response.
    tokio::spawn(async move { function.app.after_answer(deadline).await });
    response
}
