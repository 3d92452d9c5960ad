//! A timer with a precision of tens of microseconds. The precision of tokio's timer is a millisecond.

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

/// The time that an idle core takes to wake up. The timer ends this much early; the task spends the
/// rest of the time awake.
const WAKE_UP: Duration = Duration::from_micros(300);

/// A timer for one task.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "the replacement is unsafe; an OwnedFd meets its requirement"
        )]
        let timer = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Waits until `due`. Returns at once if `due` has passed.
    pub(super) async fn sleep_until(&mut self, due: Instant) -> io::Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if left <= WAKE_UP {
                tokio::task::yield_now().await;
                continue;
            }
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec::try_from(left - WAKE_UP).map_err(io::Error::other)?,
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            let mut guard = self.0.readable().await?;
            // Reading clears the expiry. The loop then checks the clock.
            let _ = guard.try_io(|fd| Ok(rustix::io::read(fd, &mut [0_u8; 8])?));
        }
    }
}
