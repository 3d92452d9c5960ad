//! Detects a connection that its peer has closed, without reading from the connection.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio_util::either::Either;

use super::transport::Stream;

/// A second handle to the TCP socket of a connection.
pub(super) struct SocketWatch(OwnedFd);

/// The state of a socket, as far as the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketState {
    /// The connection is open, and all received bytes were read.
    Quiet,
    /// The connection is open, and received bytes are unread.
    Unread,
    /// The peer has closed the connection.
    Closed,
}

impl SocketWatch {
    /// Creates a watch of a connection's socket.
    pub(super) fn of(stream: &Stream) -> io::Result<Self> {
        let tcp = match stream {
            Either::Left(tcp) => tcp,
            Either::Right(tls) => tls.get_ref().0,
        };
        Ok(Self(tcp.as_fd().try_clone_to_owned()?))
    }

    /// Returns the state of the socket. After a freeze, the peer's close message is in the receive buffer.
    ///
    /// The buffer may contain unread bytes, among them a close message. Yielding lets the I/O driver see these bytes,
    /// and lets the connection's reader read them. Three rounds are enough: bytes that are still unread then belong to
    /// a longer message.
    pub(super) async fn state(&self) -> SocketState {
        for _ in 0..3 {
            match self.look() {
                SocketState::Unread => tokio::task::yield_now().await,
                settled => return settled,
            }
        }
        SocketState::Unread
    }

    fn look(&self) -> SocketState {
        let mut watched = [PollFd::new(&self.0, PollFlags::IN | PollFlags::RDHUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut watched, Some(&now)).is_err() {
            return SocketState::Closed;
        }
        let seen = watched[0].revents();
        if seen.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
            SocketState::Closed
        } else if seen.contains(PollFlags::IN) {
            SocketState::Unread
        } else {
            SocketState::Quiet
        }
    }
}
