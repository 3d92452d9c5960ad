//! The clock of the limits.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Stands for a time limit that is never reached.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A clock that can be moved ahead of the system's clock.
#[derive(Debug)]
pub(super) struct Clock {
    ahead: watch::Sender<Duration>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            ahead: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Returns the time of this clock.
    pub(super) fn now(&self) -> Instant {
        later(Instant::now(), *self.ahead.borrow())
    }

    /// Moves the clock ahead.
    pub(super) fn advance(&self, by: Duration) {
        self.ahead
            .send_modify(|ahead| *ahead = ahead.saturating_add(by));
    }

    /// Waits until this clock shows `deadline`.
    pub(super) async fn sleep_until(&self, deadline: Instant) {
        let mut ahead = self.ahead.subscribe();
        loop {
            let current = *ahead.borrow_and_update();
            let Some(wake) = deadline.checked_sub(current) else {
                return;
            };
            tokio::select! {
                () = sleep_until(wake) => return,
                // An error is impossible, because `self` owns the sender.
                _ = ahead.changed() => {}
            }
        }
    }
}

/// Returns the instant after a duration. A duration that is too long is cut to 30 years.
pub(super) fn later(start: Instant, duration: Duration) -> Instant {
    start.checked_add(duration).unwrap_or_else(|| start + FAR)
}
