//! A port that stays reserved for a home while the home is down.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port that the system has chosen and gives to no other socket as long as this value lives.
///
/// A simulated home can listen on it.
pub struct Port {
    // Bound, but not listening.
    _socket: TcpSocket,
    /// The loopback address with this port.
    pub address: SocketAddr,
}

impl Port {
    /// Reserves a port.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            _socket: socket,
        }
    }
}
