//! The faults that a home can simulate.

mod connection;
mod rest;
mod slot;
mod socket;

pub use self::{
    connection::ConnectionFault,
    rest::RestFault,
    socket::{Break, Junk, Refusal, SocketFault, SocketStage},
};
pub(super) use self::{slot::Slot, socket::CommandFault};

/// A fault of any kind. One fault of each kind can be armed at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Affects every new TCP connection.
    Connection(ConnectionFault),
    /// Affects every HTTP request except WebSocket upgrades.
    Rest(RestFault),
    /// Affects WebSocket upgrades and open WebSockets.
    Socket(SocketFault),
}

impl From<ConnectionFault> for Fault {
    fn from(fault: ConnectionFault) -> Self {
        Self::Connection(fault)
    }
}

impl From<RestFault> for Fault {
    fn from(fault: RestFault) -> Self {
        Self::Rest(fault)
    }
}

impl From<SocketFault> for Fault {
    fn from(fault: SocketFault) -> Self {
        Self::Socket(fault)
    }
}
