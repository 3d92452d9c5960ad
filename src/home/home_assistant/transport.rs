//! The byte stream to a home: name resolution, TCP and TLS. Each step has its own error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use once_cell::sync::Lazy;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower_service::Service;

use super::error::{HomeError, Stage};
use super::extras::Extras;
use crate::base::config::HomeAddress;

/// A connection to a home, with or without TLS.
pub(super) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// The one crypto provider of the process.
static PROVIDER: Lazy<Arc<CryptoProvider>> =
    Lazy::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// The TLS settings and headers of one home. The REST client and the WebSocket share them.
pub(super) struct Transport {
    tls: Arc<ClientConfig>,
    headers: HeaderMap,
}

impl Transport {
    /// Creates the transport with the home's extra settings. Reads all settings concurrently.
    pub(super) async fn load(extras: &Extras) -> Result<Self, HomeError> {
        let loaded = extras.load().await?;
        let tls = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_safe_default_protocol_versions()
            .map_err(tls_error)?
            .with_root_certificates(RootCertStore {
                roots: loaded.roots,
            });
        let mut tls = match loaded.identity {
            Some((chain, key)) => tls.with_client_auth_cert(chain, key).map_err(tls_error)?,
            None => tls.with_no_client_auth(),
        };
        // WebSockets need HTTP/1.1.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: Arc::new(tls),
            headers: loaded.headers,
        })
    }

    /// Returns the headers that are sent with every request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Connects to the home. `reached` is set to each step when the step starts.
    pub(super) async fn connect(
        &self,
        address: &HomeAddress,
        reached: &mut Stage,
    ) -> Result<Stream, HomeError> {
        let tcp = connect_tcp(address, reached).await?;
        if !address.is_tls() {
            return Ok(Either::Left(tcp));
        }
        *reached = Stage::Tls;
        let host = address.socket().host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| HomeError::Tls {
            reason: "the host is not a valid server name".into(),
        })?;
        TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await
            .map(Either::Right)
            .map_err(|error| from_io(&error, Stage::Tls))
    }
}

/// The longest time that sent bytes may stay unacknowledged before the connection is closed.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(30);

async fn connect_tcp(address: &HomeAddress, reached: &mut Stage) -> Result<TcpStream, HomeError> {
    *reached = Stage::Dns;
    let url = address.socket();
    let addresses = match url.domain() {
        Some(name) => resolve(name.to_owned())
            .await
            .map_err(|NotResolved| HomeError::Dns)?,
        // The connector parses IP address literals itself.
        None => Vec::new(),
    };
    *reached = Stage::Tcp;
    let uri = url.as_str().parse().map_err(|_| HomeError::Dns)?;
    // The connector races IPv6 and IPv4 addresses ("happy eyeballs").
    let mut connector = HttpConnector::new_with_resolver(Resolved(addresses));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Without this limit, a frame on a dead network path would hold its task and socket for the kernel's default of a
    // quarter of an hour.
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT));
    let stream = connector
        .call(uri)
        .await
        .map_err(|error| from_source(&error, Stage::Tcp))?;
    Ok(stream.into_inner())
}

/// The error of name resolution. The error has its own type, so that it can be found among the sources of another
/// error.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name does not resolve")]
pub(super) struct NotResolved;

async fn resolve(host: String) -> Result<Vec<SocketAddr>, NotResolved> {
    let found = tokio::net::lookup_host((host, 0))
        .await
        .map_err(|_| NotResolved)?;
    Ok(found.collect())
}

/// A resolver that returns addresses that were resolved before.
#[derive(Clone, Debug)]
pub(super) struct Resolved(Vec<SocketAddr>);

impl Service<Name> for Resolved {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NotResolved;
    type Future = std::future::Ready<Result<Self::Response, NotResolved>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), NotResolved>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(self.0.clone().into_iter()))
    }
}

fn tls_error(error: rustls::Error) -> HomeError {
    HomeError::Tls {
        reason: error.to_string(),
    }
}

/// Returns an error and all its sources.
pub(super) fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Finds the root cause of a failed connection attempt among the error's sources.
pub(super) fn from_source(error: &(dyn std::error::Error + 'static), stage: Stage) -> HomeError {
    let mut found = None;
    for source in sources(error) {
        if source.is::<NotResolved>() {
            return HomeError::Dns;
        }
        if let Some(io) = source.downcast_ref::<std::io::Error>() {
            match from_io(io, stage) {
                unreachable @ HomeError::Unreachable { .. } => found = Some(unreachable),
                tls => return tls,
            }
        }
    }
    found.unwrap_or_else(|| HomeError::Unreachable {
        stage,
        reason: "the connection broke".into(),
        refused: false,
    })
}

/// Converts an I/O error of a step.
pub(super) fn from_io(error: &std::io::Error, stage: Stage) -> HomeError {
    match tls_cause(error) {
        Some(tls) => HomeError::Tls {
            reason: tls.to_string(),
        },
        None => HomeError::Unreachable {
            stage,
            reason: error.kind().to_string(),
            refused: is_refusal(error.kind()),
        },
    }
}

/// Returns true if the connection was refused. Returns false if it broke or was never answered.
fn is_refusal(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind;
    matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
    )
}

/// Returns the TLS error inside an I/O error. rustls wraps its errors in I/O errors, and its adapters wrap those again.
fn tls_cause(error: &std::io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner
        .downcast_ref::<rustls::Error>()
        .or_else(|| inner.downcast_ref::<std::io::Error>().and_then(tls_cause))
}
