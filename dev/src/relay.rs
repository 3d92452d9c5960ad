//! A TCP relay that puts a network between two parties on loopback: round-trip time, cut cables,
//! black holes, and a count of what passed.
//!
//! Bytes are queued with the time they are due and never wait for one another, so latency costs
//! no throughput. Loopback accepts at once where a network needs a round trip: to make up for
//! it, nothing passes before one round trip after the connection was accepted. A connect and a
//! request thus cost two round trips, as they do for real.

mod pipe;
mod timer;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

/// As many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How a [`Relay`] is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayOptions {
    /// Round-trip time added, half of it each way.
    pub round_trip: Duration,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client, who connected to the relay, to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// How a connection ends on both its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// FIN: each side reads to an end of file.
    Fin,
    /// RST: each side gets "connection reset".
    Reset,
}

/// What a relay has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections now open, black holes included.
    pub open_connections: u64,
    /// Bytes passed to the server.
    pub bytes_to_server: u64,
    /// Bytes passed to the client.
    pub bytes_to_client: u64,
}

/// A relay on loopback. It runs on the tokio runtime it is started on and ends, connections and
/// all, when dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Bound but not listening: keeps the port ours while connections are refused.
    _port: TcpSocket,
    door: mpsc::UnboundedSender<Door>,
    server: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay before `target`.
    pub async fn start(target: SocketAddr, options: RelayOptions) -> io::Result<Self> {
        let port = TcpSocket::new_v4()?;
        port.set_reuseaddr(true)?;
        port.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let shared = Arc::new(Shared {
            network: Mutex::new(Network {
                target,
                round_trip: options.round_trip,
                counters: RelayCounters::default(),
                cut: None,
                swallows_new: false,
            }),
            changed: watch::Sender::new(()),
            orders: watch::Sender::new(Orders::default()),
        });
        let (door, doors) = mpsc::unbounded_channel();
        let relay = Self {
            address: port.local_addr()?,
            _port: port,
            server: tokio::spawn(serve(doors, Arc::clone(&shared))),
            door,
            shared,
        };
        relay.accept_connections()?;
        Ok(relay)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections elsewhere.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.change(|network| network.target = target);
    }

    /// Changes the round trip of new connections.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.shared
            .change(|network| network.round_trip = round_trip);
    }

    /// What passed so far.
    pub fn counters(&self) -> RelayCounters {
        locked(&self.shared.network).counters
    }

    /// Waits until the counters fulfil a condition, and returns them.
    pub async fn wait_for(&self, condition: impl Fn(&RelayCounters) -> bool) -> RelayCounters {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let counters = self.counters();
            if condition(&counters) {
                return counters;
            }
            if changed.changed().await.is_err() {
                // The sender lives in `self`, so this cannot end; waiting is the honest answer.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Cuts one connection after exactly this many more bytes have passed in a direction, counted
    /// over all connections: the one that carries the last of them is cut, both its sides at once.
    /// With 0, whichever is next to carry a byte that way is cut before it does.
    pub fn cut_after(&self, direction: Direction, bytes: u64, ending: Ending) {
        self.shared.change(|network| {
            network.cut = Some(Cut {
                direction,
                remaining: bytes,
                ending,
            });
        });
    }

    /// From now on nothing more passes on the connections that are open, not even their end:
    /// neither side can tell, except by waiting.
    pub fn black_hole(&self) {
        self.shared
            .orders
            .send_modify(|orders| orders.black_holes += 1);
    }

    /// Whether new connections are black holes from the start: accepted, and then silence.
    pub fn black_hole_new(&self, swallow: bool) {
        self.shared.change(|network| network.swallows_new = swallow);
    }

    /// Ends all open connections now.
    pub fn drop_connections(&self, ending: Ending) {
        self.shared.orders.send_modify(|orders| {
            orders.endings += 1;
            orders.ending = Some(ending);
        });
    }

    /// Refuses new connections ("connection refused") from the moment this returns; open ones go
    /// on.
    pub async fn refuse_connections(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.door.send(Door::Close(closed)).is_ok() {
            // An error means the server is gone, which refuses as well.
            let _ = is_closed.await;
        }
    }

    /// Accepts connections again after [`Self::refuse_connections`].
    pub fn accept_connections(&self) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let listener = socket.listen(BACKLOG)?;
        self.door
            .send(Door::Open(listener))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Debug)]
enum Door {
    Open(TcpListener),
    Close(oneshot::Sender<()>),
}

/// What all connections share. A std mutex: nothing awaits while it is held.
#[derive(Debug)]
struct Shared {
    network: Mutex<Network>,
    changed: watch::Sender<()>,
    orders: watch::Sender<Orders>,
}

#[derive(Debug)]
struct Network {
    target: SocketAddr,
    round_trip: Duration,
    counters: RelayCounters,
    cut: Option<Cut>,
    swallows_new: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    direction: Direction,
    remaining: u64,
    ending: Ending,
}

/// Orders to the connections open when they are given, told from older ones by their number.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    black_holes: u64,
    endings: u64,
    ending: Option<Ending>,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Network)) {
        change(&mut locked(&self.network));
        self.changed.send_replace(());
    }

    /// How many of `bytes` may pass, and how the connection ends after them, if it does.
    fn allow(&self, direction: Direction, bytes: usize) -> (usize, Option<Ending>) {
        let mut network = locked(&self.network);
        let Some(cut) = network
            .cut
            .as_mut()
            .filter(|cut| cut.direction == direction)
        else {
            return (bytes, None);
        };
        match usize::try_from(cut.remaining) {
            Ok(remaining) if remaining <= bytes => {
                let ending = cut.ending;
                network.cut = None;
                (remaining, Some(ending))
            }
            _ => {
                cut.remaining -= bytes as u64;
                (bytes, None)
            }
        }
    }

    fn count(&self, direction: Direction, bytes: usize) {
        self.change(|network| match direction {
            Direction::ToServer => network.counters.bytes_to_server += bytes as u64,
            Direction::ToClient => network.counters.bytes_to_client += bytes as u64,
        });
    }
}

async fn serve(mut doors: mpsc::UnboundedReceiver<Door>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut listener = None;
    loop {
        tokio::select! {
            door = doors.recv() => match door {
                Some(Door::Open(opened)) => listener = Some(opened),
                Some(Door::Close(closed)) => {
                    listener = None;
                    // Nobody may be waiting any more.
                    let _ = closed.send(());
                }
                None => return,
            },
            Some(client) = accept(listener.as_ref()) => {
                connections.spawn(pipe::run(client, Arc::clone(&shared)));
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

/// A panic while the lock was held has failed its test already; the data is whole all the same.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
