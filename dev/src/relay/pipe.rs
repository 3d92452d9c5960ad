//! One relayed connection: two queues of bytes with the times they are due.

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

use super::{Direction, Ending, Orders, RelayCounters, Shared, locked, timer::Timer};

const READ_BYTES: usize = 64 << 10;

/// Bytes and the time they are due; no bytes stand for the end.
type Parcel = (Instant, Vec<u8>);

/// Counts a connection as open while it is held.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.change(|network| {
            network.counters.connections += 1;
            network.counters.open_connections += 1;
        });
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let close = |counters: &mut RelayCounters| counters.open_connections -= 1;
        self.0.change(|network| close(&mut network.counters));
    }
}

/// Relays one connection to its end.
pub(super) async fn run(mut client: TcpStream, shared: Arc<Shared>) {
    let accepted_at = Instant::now();
    let open = Open::new(&shared);
    let mut orders = shared.orders.subscribe();
    let accepted_under = *orders.borrow_and_update();
    let (target, round_trip, is_swallowed) = {
        let network = locked(&shared.network);
        (network.target, network.round_trip, network.swallows_new)
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
                shared: &shared,
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
                // A socket that refuses the option is already gone.
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

/// Reads into the void until the client leaves.
async fn swallow(client: &mut TcpStream) -> Option<Ending> {
    // How the client left makes no difference.
    let _ = copy(client, &mut sink()).await;
    None
}

/// Says FIN, then reads what still comes: closing over unread bytes would be a reset.
async fn finish(stream: &mut TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = copy(stream, &mut sink()).await;
    }
}

struct Line<'a> {
    shared: &'a Shared,
    accepted_under: Orders,
    /// On a network the connection would stand from this time only.
    passes_from: Instant,
    one_way: Duration,
}

impl Line<'_> {
    /// Relays both ways until both ends have ended, or one failed, or a cut is due.
    async fn join(&self, client: &mut TcpStream, server: &mut TcpStream) -> Option<Ending> {
        // Best effort: it only costs latency when refused.
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
            // The receiver outlives this: both belong to one `try_join`.
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
            let (allowed, ending) = self.shared.allow(direction, bytes.len());
            let bytes = bytes.get(..allowed).unwrap_or_default();
            self.unless_lost(to.write_all(bytes).await).await?;
            self.shared.count(direction, allowed);
            if let Some(ending) = ending {
                return Err(ending);
            }
        }
        // Only a black hole loses the end of the stream, and it never lets go.
        std::future::pending().await
    }

    fn is_black_hole(&self) -> bool {
        self.shared.orders.borrow().black_holes != self.accepted_under.black_holes
    }

    /// A failure of one side resets the other, unless a black hole keeps it from knowing.
    async fn unless_lost<T>(&self, outcome: io::Result<T>) -> Result<T, Ending> {
        match outcome {
            Ok(value) => Ok(value),
            Err(_) if self.is_black_hole() => std::future::pending().await,
            Err(_) => Err(Ending::Reset),
        }
    }
}
