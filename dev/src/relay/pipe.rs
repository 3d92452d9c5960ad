//! One relayed connection: a queue of bytes for each direction.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::mpsc,
};

use super::{
    network::{Direction, Ending, Network, Orders},
    timer::Timer,
};
use crate::lock::locked;

const READ_BYTES: usize = 64 << 10;

/// Bytes and the time of their delivery. Empty bytes stand for the end of the stream.
type Parcel = (Instant, Vec<u8>);

/// Counts a connection as open until it is dropped.
struct Open<'a>(&'a Network);

impl<'a> Open<'a> {
    fn new(network: &'a Network) -> Self {
        network.change(|state| {
            state.counters.connections += 1;
            state.counters.open_connections += 1;
        });
        Self(network)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.counters.open_connections -= 1);
    }
}

/// Relays one connection until it ends.
pub(super) async fn run(mut client: TcpStream, network: Arc<Network>) {
    let accepted_at = Instant::now();
    let open = Open::new(&network);
    let mut orders = network.orders.subscribe();
    let accepted_under = *orders.borrow_and_update();
    let (target, round_trip, is_swallowed) = {
        let state = locked(&network.state);
        (state.target, state.round_trip, state.swallows_new)
    };
    let ended = async {
        let changed = |now: &Orders| now.endings != accepted_under.endings;
        match orders.wait_for(changed).await {
            Ok(orders) => orders.ending.unwrap_or(Ending::Reset),
            Err(_) => Ending::Reset,
        }
    };

    let mut server = None;
    let ending = tokio::select! {
        biased;
        ending = ended => Some(ending),
        ending = async {
            if is_swallowed {
                return swallow(&mut client).await;
            }
            let Ok(connected) = TcpStream::connect(target).await else {
                return Some(Ending::Reset);
            };
            let line = Line {
                network: &network,
                accepted_under,
                passes_from: accepted_at + round_trip,
                one_way: round_trip / 2,
            };
            line.join(&mut client, server.insert(connected)).await
        } => ending,
    };
    drop(open);
    match ending {
        Some(Ending::Reset) => {
            for stream in [Some(client), server].into_iter().flatten() {
                // An error means that the socket is already closed.
                let _ = stream.set_zero_linger();
            }
        }
        Some(Ending::Fin) => {
            let server = async {
                if let Some(server) = &mut server {
                    finish(server).await;
                }
            };
            tokio::join!(finish(&mut client), server);
        }
        None => {}
    }
}

/// Reads and discards bytes until the client closes.
async fn swallow(client: &mut TcpStream) -> Option<Ending> {
    // An error has the same meaning as a close.
    let _ = copy(client, &mut sink()).await;
    None
}

/// Sends FIN, then reads the remaining bytes, because closing with unread bytes would reset the connection.
async fn finish(stream: &mut TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = copy(stream, &mut sink()).await;
    }
}

/// A connection between client and server.
struct Line<'a> {
    network: &'a Network,
    accepted_under: Orders,
    /// The time from which bytes pass: on a network, the connection would be open from then on.
    passes_from: Instant,
    one_way: Duration,
}

impl Line<'_> {
    /// Relays both directions until both sides have closed, one side fails or the connection is cut.
    async fn join(&self, client: &mut TcpStream, server: &mut TcpStream) -> Option<Ending> {
        // Best effort: without this option, latency is higher.
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = tokio::try_join!(
            self.one_way(Direction::ToServer, from_client, to_server),
            self.one_way(Direction::ToClient, from_server, to_client),
        );
        both.err()
    }

    async fn one_way(
        &self,
        direction: Direction,
        from: ReadHalf<'_>,
        to: WriteHalf<'_>,
    ) -> Result<(), Ending> {
        let (queue, parcels) = mpsc::unbounded_channel();
        tokio::try_join!(
            self.collect(from, queue),
            self.deliver(direction, parcels, to)
        )?;
        Ok(())
    }

    async fn collect(
        &self,
        mut from: ReadHalf<'_>,
        queue: mpsc::UnboundedSender<Parcel>,
    ) -> Result<(), Ending> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = from.read(&mut buffer).await;
            let due = Instant::now().max(self.passes_from) + self.one_way;
            let bytes = self.unless_lost(read).await?;
            let bytes = buffer.get(..bytes).unwrap_or_default();
            // The receiver lives as long as this: both belong to one `try_join`.
            let _ = queue.send((due, bytes.to_vec()));
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    async fn deliver(
        &self,
        direction: Direction,
        mut parcels: mpsc::UnboundedReceiver<Parcel>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), Ending> {
        let mut timer = Timer::new().map_err(|_| Ending::Reset)?;
        while let Some((due, bytes)) = parcels.recv().await {
            timer.sleep_until(due).await.map_err(|_| Ending::Reset)?;
            if self.is_black_hole() {
                continue;
            }
            if bytes.is_empty() {
                self.unless_lost(to.shutdown().await).await?;
                return Ok(());
            }
            let (allowed, ending) = self.network.allow(direction, bytes.len());
            let bytes = bytes.get(..allowed).unwrap_or_default();
            self.unless_lost(to.write_all(bytes).await).await?;
            self.network.count(direction, allowed);
            if let Some(ending) = ending {
                return Err(ending);
            }
        }
        // Only a black hole drops the end of the stream, and a black hole never ends.
        std::future::pending().await
    }

    fn is_black_hole(&self) -> bool {
        self.network.orders.borrow().black_holes != self.accepted_under.black_holes
    }

    /// Resets the connection if one side fails. In a black hole, the other side does not learn of the failure.
    async fn unless_lost<T>(&self, outcome: io::Result<T>) -> Result<T, Ending> {
        match outcome {
            Ok(value) => Ok(value),
            Err(_) if self.is_black_hole() => std::future::pending().await,
            Err(_) => Err(Ending::Reset),
        }
    }
}
