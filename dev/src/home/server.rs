//! TCP, TLS and HTTP/1.1: one task for each connection. All tasks end with the home.

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use rustls::HandshakeKind;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    connection::Connection,
    fault::ConnectionFault,
    router,
    shared::Shared,
    socket,
    wire::{Stream, Wire},
};
use crate::lock::locked;

/// The time limit for the peers' close frames when the home stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves connections until the home stops and the last connection has ended.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.subscribe();
    let mut stopped = pin!(async move {
        // An error means that the home is dropped, which has the same effect.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    });
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => {
                if let Ok((tcp, peer)) = accepted {
                    connections.spawn(connection(tcp, peer.ip(), Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    // Connections without a close frame of their peer are aborted.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, all_closed).await;
    connections.shutdown().await;
}

async fn connection(tcp: TcpStream, peer: IpAddr, shared: Arc<Shared>) {
    shared.tally.count(|counters| counters.tcp_connections += 1);
    let mut stopping = shared.stopping.subscribe();
    let session = tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => return,
        session = http(tcp, peer, Arc::clone(&shared)) => session,
    };
    // A WebSocket watches `stopping` itself, to send a close frame.
    if let Some((connection, upgrade)) = session {
        socket::run(connection, upgrade).await;
    }
}

/// Serves HTTP on a connection until it ends or is upgraded.
async fn http(
    tcp: TcpStream,
    peer: IpAddr,
    shared: Arc<Shared>,
) -> Option<(Arc<Connection>, OnUpgrade)> {
    // Best effort: without this option, latency is higher.
    let _ = tcp.set_nodelay(true);
    let tcp = apply_fault(tcp, &shared).await?;
    let stream = match &shared.options.tls {
        Some(tls) => {
            let accepted = TlsAcceptor::from(Arc::clone(tls)).accept(tcp).await.ok()?;
            if accepted.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                shared.tally.count(|counters| counters.tls_resumptions += 1);
            }
            Stream::Tls(Box::new(accepted))
        }
        None => Stream::Plain(tcp),
    };
    let wire = Wire::new(stream);
    let connection = Arc::new(Connection {
        shared,
        peer,
        wire: wire.clone(),
        upgrade: Mutex::default(),
    });
    let service = service_fn(|request| router::respond(Arc::clone(&connection), request));
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades()
        .await;
    let upgrade = locked(&connection.upgrade).take();
    served
        .ok()
        .and(upgrade)
        .map(|upgrade| (connection, upgrade))
}

/// Applies a connection fault. Returns the connection if no fault is armed.
async fn apply_fault(mut tcp: TcpStream, shared: &Shared) -> Option<TcpStream> {
    let Some(fault) = shared.connection_fault.take(|fault| Some(*fault)) else {
        return Some(tcp);
    };
    shared.tally.count(|counters| counters.faults_hit += 1);
    match fault {
        ConnectionFault::Close => {}
        ConnectionFault::Reset => Stream::Plain(tcp).reset(),
        ConnectionFault::Hang => match std::future::pending::<Infallible>().await {},
        ConnectionFault::Garbage => {
            let sent: io::Result<()> = async {
                tcp.write_all(b"\x00\xff SSH-2.0-OpenSSH_9.2p1\r\n").await?;
                tcp.shutdown().await
            }
            .await;
            if sent.is_ok() {
                // Reads the peer's bytes, because closing with unread bytes would reset the connection.
                let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
            }
        }
    }
    None
}
