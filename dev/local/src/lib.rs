//! latchkey on this machine.
//!
//! The library has the [`LocalPort`]. The binary `latchkey-local` is `make run`.

mod local_port;

pub use local_port::LocalPort;
