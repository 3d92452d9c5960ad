//! The relay: its listener and its handle.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

use super::{
    network::{Cut, Direction, Ending, Network, RelayCounters},
    pipe,
};
use crate::lock::locked;

/// The number of connections that can wait to be accepted.
const BACKLOG: u32 = 1024;

/// The options of a [`Relay`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayOptions {
    /// The added round-trip time, half of it in each direction.
    pub round_trip: Duration,
}

/// A relay on loopback. The relay runs on the tokio runtime that starts it. Dropping the handle ends
/// the relay and all its connections.
#[derive(Debug)]
pub struct Relay {
    network: Arc<Network>,
    address: SocketAddr,
    /// Bound but not listening: reserves the port while connections are refused.
    _port: TcpSocket,
    listening: mpsc::UnboundedSender<Listening>,
    server: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to `target`.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(target: SocketAddr, options: RelayOptions) -> io::Result<Self> {
        let port = TcpSocket::new_v4()?;
        port.set_reuseaddr(true)?;
        port.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let network = Arc::new(Network::new(target, options.round_trip));
        let (listening, changes) = mpsc::unbounded_channel();
        let relay = Self {
            address: port.local_addr()?,
            _port: port,
            server: tokio::spawn(serve(changes, Arc::clone(&network))),
            listening,
            network,
        };
        relay.accept_connections()?;
        Ok(relay)
    }

    /// Returns the address that the relay listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Changes the target of new connections.
    pub fn set_target(&self, target: SocketAddr) {
        self.network.change(|state| state.target = target);
    }

    /// Changes the round-trip time of new connections.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.network.change(|state| state.round_trip = round_trip);
    }

    /// Returns the counters.
    pub fn counters(&self) -> RelayCounters {
        locked(&self.network.state).counters
    }

    /// Waits until the counters meet a condition, and returns the counters.
    pub async fn wait_for(&self, condition: impl Fn(&RelayCounters) -> bool) -> RelayCounters {
        let mut changed = self.network.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let counters = self.counters();
            if condition(&counters) {
                return counters;
            }
            if changed.changed().await.is_err() {
                // Unreachable: `self` owns the sender.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Cuts one connection after exactly this many more bytes have passed in a direction. The count
    /// includes all connections. The connection that carries the last byte is cut on both sides at
    /// once. With 0, the next connection that would carry a byte in this direction is cut before
    /// that byte.
    pub fn cut_after(&self, direction: Direction, bytes: u64, ending: Ending) {
        self.network.change(|state| {
            state.cut = Some(Cut {
                direction,
                remaining: bytes,
                ending,
            });
        });
    }

    /// Turns the open connections into black holes: nothing more passes, not even a FIN. Each side
    /// can only notice a timeout.
    pub fn black_hole(&self) {
        self.network
            .orders
            .send_modify(|orders| orders.black_holes += 1);
    }

    /// Sets whether new connections are black holes: the relay accepts them, but passes nothing.
    pub fn black_hole_new(&self, swallow: bool) {
        self.network.change(|state| state.swallows_new = swallow);
    }

    /// Ends all open connections now.
    pub fn drop_connections(&self, ending: Ending) {
        self.network.orders.send_modify(|orders| {
            orders.endings += 1;
            orders.ending = Some(ending);
        });
    }

    /// Refuses new connections ("connection refused") from the moment when this returns. Open
    /// connections continue.
    pub async fn refuse_connections(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.listening.send(Listening::Stop(closed)).is_ok() {
            // An error means that the server has ended, which refuses connections too.
            let _ = is_closed.await;
        }
    }

    /// Accepts connections again after [`Self::refuse_connections`].
    ///
    /// # Errors
    /// If the port cannot be bound.
    pub fn accept_connections(&self) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let listener = socket.listen(BACKLOG)?;
        self.listening
            .send(Listening::Start(listener))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A change of the listener.
#[derive(Debug)]
enum Listening {
    Start(TcpListener),
    Stop(oneshot::Sender<()>),
}

async fn serve(mut changes: mpsc::UnboundedReceiver<Listening>, network: Arc<Network>) {
    let mut connections = JoinSet::new();
    let mut listener = None;
    loop {
        tokio::select! {
            change = changes.recv() => match change {
                Some(Listening::Start(started)) => listener = Some(started),
                Some(Listening::Stop(closed)) => {
                    listener = None;
                    // An error means that the caller no longer waits.
                    let _ = closed.send(());
                }
                None => return,
            },
            Some(client) = accept(listener.as_ref()) => {
                connections.spawn(pipe::run(client, Arc::clone(&network)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(client, _)| client),
        None => std::future::pending().await,
    }
}
