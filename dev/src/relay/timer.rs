//! A timer exact to tens of microseconds, where tokio's own has steps of a millisecond.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

/// An idle core may take this long to wake up: the timer is set so much early, and the rest is
/// spent awake.
const WAKING_UP: Duration = Duration::from_micros(300);

/// One timer, to be waited for by one task.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe to call; an OwnedFd keeps what that asks for"
        )]
        let timer = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Waits until `due`; not at all when that has passed.
    pub(super) async fn sleep_until(&mut self, due: Instant) -> io::Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if left <= WAKING_UP {
                tokio::task::yield_now().await;
                continue;
            }
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec::try_from(left - WAKING_UP).map_err(io::Error::other)?,
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            let mut guard = self.0.readable().await?;
            // Reading takes the expiry away; whether it was a true one shows the clock.
            let _ = guard.try_io(|fd| Ok(rustix::io::read(fd, &mut [0_u8; 8])?));
        }
    }
}
