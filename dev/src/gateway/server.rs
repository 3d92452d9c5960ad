//! TCP and HTTP/1.1: one task for each connection.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};

use super::{
    handshake, management,
    response::{Body, message},
    shared::Shared,
};

/// The part of a path that stands for the management API.
const CONNECTIONS: &str = "@connections";

/// Serves connections until the task is aborted.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        if let Ok((tcp, peer)) = listener.accept().await {
            shared
                .tasks
                .spawn(http(tcp, peer.ip(), Arc::clone(&shared)));
        }
    }
}

async fn http(tcp: TcpStream, peer: IpAddr, shared: Arc<Shared>) {
    // Best effort: without this option, latency is higher.
    let _ = tcp.set_nodelay(true);
    let service = service_fn(|request| respond(Arc::clone(&shared), peer, request));
    // An error means that the client broke off.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades()
        .await;
}

async fn respond(
    shared: Arc<Shared>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut segments = request.uri().path().splitn(4, '/').skip(1).map(decoded);
    let (stage, connections) = (segments.next(), segments.next());
    if connections.as_deref() != Some(CONNECTIONS) {
        return Ok(handshake::respond(&shared, peer, request).await);
    }
    let response = match segments.next() {
        Some(id) if stage.as_ref() == Some(&shared.options.stage) => {
            management::respond(&shared, &id, request).await
        }
        _ => message(StatusCode::FORBIDDEN, "Forbidden"),
    };
    Ok(response)
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
