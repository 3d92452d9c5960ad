//! latchkey on this machine.
//!
//! The library has the [`LocalPort`] for HTTP and the [`SocketPort`] for WebSocket clients. The binary
//! `latchkey-local` is `make run`.

mod local_port;
mod socket_port;

pub use local_port::LocalPort;
pub use socket_port::SocketPort;
