//! TCP, TLS and HTTP/1.1: one task a connection, all of them ending with the home.

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
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    ConnectionFault, Shared, locked, rest, socket,
    wire::{Stream, Wire},
};

/// How long peers have to answer a close frame when the home stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// One connection, as its requests see it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: IpAddr,
    pub(super) wire: Wire,
    /// Set by a request that is answered with 101.
    pub(super) upgrade: Mutex<Option<OnUpgrade>>,
}

/// Serves until the home stops, and then until its last connection has ended.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.subscribe();
    let mut stopped = pin!(async move {
        // An error means the home is gone, which is as good as stopped.
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
    let goodbyes = async { while connections.join_next().await.is_some() {} };
    // Peers that do not answer a close frame are left behind.
    let _ = tokio::time::timeout(GOODBYE, goodbyes).await;
    connections.shutdown().await;
}

async fn connection(tcp: TcpStream, peer: IpAddr, shared: Arc<Shared>) {
    shared.tally.count(|counters| counters.tcp_connections += 1);
    let mut stopping = shared.stopping.subscribe();
    let session = tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => return,
        session = http(tcp, peer, Arc::clone(&shared)) => session,
    };
    // A socket says goodbye by itself when the home stops.
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
    // Best effort: it only costs latency when refused.
    let _ = tcp.set_nodelay(true);
    let tcp = spoil(tcp, &shared).await?;
    let stream = match &shared.options.tls {
        Some(tls) => {
            let accepted = TlsAcceptor::from(Arc::clone(tls)).accept(tcp).await;
            Stream::Tls(Box::new(accepted.ok()?))
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
    let service = service_fn(|request| rest::answer(Arc::clone(&connection), request));
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

/// Applies a connection fault; the connection comes back when there is none.
async fn spoil(mut tcp: TcpStream, shared: &Shared) -> Option<TcpStream> {
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
                // Closing with the peer's bytes unread would be a reset: read them first.
                let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
            }
        }
    }
    None
}
