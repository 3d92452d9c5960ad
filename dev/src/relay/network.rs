//! The simulated network: its state, and the orders to open connections.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use tokio::sync::watch;

use crate::lock::locked;

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// The way in which a connection ends on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// FIN: each side reads an end of file.
    Fin,
    /// RST: each side gets "connection reset".
    Reset,
}

/// The counters of a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Accepted connections.
    pub connections: u64,
    /// Connections that are open now, including black holes.
    pub open_connections: u64,
    /// Bytes passed to the server.
    pub bytes_to_server: u64,
    /// Bytes passed to the client.
    pub bytes_to_client: u64,
}

/// The network that all connections share. The mutex is a std mutex: no lock is held across an await.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) state: Mutex<State>,
    /// Signals every change of the state.
    pub(super) changed: watch::Sender<()>,
    pub(super) orders: watch::Sender<Orders>,
}

/// The state of the network.
#[derive(Debug)]
pub(super) struct State {
    /// The server of new connections.
    pub(super) target: SocketAddr,
    pub(super) round_trip: Duration,
    pub(super) counters: RelayCounters,
    pub(super) cut: Option<Cut>,
    /// True if new connections are black holes.
    pub(super) swallows_new: bool,
}

/// A cut after a number of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) direction: Direction,
    /// The number of bytes that still pass before the cut.
    pub(super) remaining: u64,
    pub(super) ending: Ending,
}

/// Orders to open connections. Each order increases a number, so that a connection ignores the orders before its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Orders {
    pub(super) black_holes: u64,
    pub(super) endings: u64,
    pub(super) ending: Option<Ending>,
}

impl Network {
    /// Creates a network without faults.
    pub(super) fn new(target: SocketAddr, round_trip: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                target,
                round_trip,
                counters: RelayCounters::default(),
                cut: None,
                swallows_new: false,
            }),
            changed: watch::Sender::new(()),
            orders: watch::Sender::new(Orders::default()),
        }
    }

    /// Changes the state and signals the change.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut locked(&self.state));
        self.changed.send_replace(());
    }

    /// Returns how many of `bytes` may pass, and the ending if the connection is cut after them.
    pub(super) fn allow(&self, direction: Direction, bytes: usize) -> (usize, Option<Ending>) {
        let mut state = locked(&self.state);
        let Some(cut) = state.cut.as_mut().filter(|cut| cut.direction == direction) else {
            return (bytes, None);
        };
        match usize::try_from(cut.remaining) {
            Ok(remaining) if remaining <= bytes => {
                let ending = cut.ending;
                state.cut = None;
                (remaining, Some(ending))
            }
            _ => {
                cut.remaining -= bytes as u64;
                (bytes, None)
            }
        }
    }

    /// Counts bytes that passed.
    pub(super) fn count(&self, direction: Direction, bytes: usize) {
        self.change(|state| match direction {
            Direction::ToServer => state.counters.bytes_to_server += bytes as u64,
            Direction::ToClient => state.counters.bytes_to_client += bytes as u64,
        });
    }
}
