//! Faults of TCP connections.

/// A fault of a new TCP connection, before TLS and before the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Closes the connection (FIN).
    Close,
    /// Resets the connection (RST).
    Reset,
    /// Never reads and never writes.
    Hang,
    /// Sends bytes that are neither TLS nor HTTP, then closes the connection.
    Garbage,
}

impl ConnectionFault {
    /// Returns every connection fault.
    pub fn all() -> Vec<Self> {
        vec![Self::Close, Self::Reset, Self::Hang, Self::Garbage]
    }
}
