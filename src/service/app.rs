//! The application: every operation on homes, independent of the event that requests it.

mod audit;
mod intake;
mod invocation;
mod outcome;
mod push;
mod run;
mod upkeep;
mod version;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::base::clock::{Clock, Deadline};
use crate::base::home_name::HomeName;
use crate::base::metrics::{Metric, Metrics};
use crate::base::random::Random;
use crate::home::bridge::{Health, Status};
use crate::home::home_assistant::{HomeError, Stage, reseed_masks};
use crate::home::homes::Homes;
use crate::service::access::{Authenticator, Caller, PushSecret};
use crate::service::connections::Connections;
use crate::service::failure::Failure;
use crate::service::idempotency::Idempotency;
use crate::service::rate_limit::RateLimiter;
use crate::service::rotation::Rotation;

pub(crate) use audit::audit;
pub(crate) use intake::Room;
pub(crate) use invocation::Invocation;
pub(crate) use outcome::PerHome;
pub(crate) use push::{Credentials, Pusher};
pub(crate) use run::{AuthorisedCommands, SessionRead};

/// The part of an invocation's time that is reserved for writing the response.
const TIME_TO_ANSWER: Duration = Duration::from_millis(250);

/// The number of homes that are processed concurrently.
const AT_ONCE: usize = 8;

/// The time limit for refreshing tokens after a response, even if the invocation has more time left.
const REFRESH_LIMIT: Duration = Duration::from_secs(5);

/// The time limit for delivering metrics, even if the invocation has more time left.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The state that all invocations of one execution environment share.
pub struct App {
    pub(crate) homes: Homes,
    pub(crate) rotation: Rotation,
    pub(crate) idempotency: Idempotency,
    pub(crate) authenticator: Authenticator,
    pub(crate) rates: RateLimiter,
    pub(crate) connections: Connections,
    pub(crate) push_secret: Option<PushSecret>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) metrics: Arc<Metrics>,
}

impl App {
    /// Prepares the token, its verdict and the session of each open home, and the callers' keys. Call it when no
    /// invocation is waiting.
    pub async fn warm_up(&self, limit: Duration) {
        let deadline = Deadline::at(self.clock.now().after(limit));
        // Errors are ignored here: the first invocation meets the same error and reports it.
        let homes = async {
            for home in self.homes.open_ones() {
                home.bridge.warm_up(deadline).await;
            }
        };
        let keys = tokio::time::timeout(limit, self.authenticator.read_ahead());
        let _ = tokio::join!(homes, keys);
    }

    /// Counts a failure with an unknown outcome, which an operator must investigate.
    pub(crate) fn count(&self, failure: &Failure) {
        if let Failure::OutcomeUnknown(_) = failure {
            self.metrics.record(Metric::CommandOutcomeUnknown(1));
        }
    }

    /// Drops tokens and closes connections before Lambda takes a snapshot of this process.
    pub async fn suspend(&self) {
        self.homes.suspend().await;
    }

    /// Reseeds all random number generators. Processes that start from one snapshot would otherwise share their state.
    pub fn reseed(&self, seed: u64) {
        self.random.reseed(seed);
        reseed_masks();
    }

    /// Refreshes tokens past their soft TTL, draws rate limit tokens, and delivers metrics. Call it after the response
    /// was posted, so that no caller waits for this work. The invocation ends at `deadline_ms` (Unix time).
    pub async fn after_answer(&self, deadline_ms: u64) {
        let end = Duration::from_millis(deadline_ms).saturating_sub(TIME_TO_ANSWER);
        let left = end.saturating_sub(self.clock.now().unix);
        let deadline = Deadline::at(self.clock.now().after(left.min(REFRESH_LIMIT)));
        let homes = self.homes.open_ones();
        let done = homes
            .into_iter()
            .map(|home| async move { home.bridge.after_answer(deadline).await });
        let done = futures_util::stream::iter(done).buffer_unordered(AT_ONCE);
        let rates = self.rates.replenish(left.min(REFRESH_LIMIT));
        tokio::join!(done.collect::<Vec<()>>(), rates);
        let left = end.saturating_sub(self.clock.now().unix);
        self.metrics.flush(left.min(FLUSH_LIMIT)).await;
    }

    /// Returns one status for all open homes.
    pub fn status(&self) -> Status {
        Self::status_of(self.health().map(|(_, health)| health.status))
    }

    /// Combines the statuses of homes. If they differ, or if `statuses` is empty, the result is `Degraded`: one
    /// unhealthy home does not make the others unhealthy.
    pub(crate) fn status_of(mut statuses: impl Iterator<Item = Status>) -> Status {
        let Some(first) = statuses.next() else {
            return Status::Degraded;
        };
        statuses.fold(
            first,
            |all, one| if all == one { all } else { Status::Degraded },
        )
    }

    /// Returns the health of the open homes that this caller may see. If several homes are served, a caller sees the
    /// home of their tenant. An administrator without a tenant sees all homes.
    pub(crate) fn health_for(
        &self,
        caller: &Caller,
    ) -> impl Iterator<Item = (Option<HomeName>, Health)> {
        let tenant = caller.tenant.clone();
        let all = !self.homes.are_several() || (tenant.is_none() && caller.is_admin());
        self.health()
            .filter(move |(name, _)| all || *name == tenant)
    }

    /// Returns the health of each open home.
    pub fn health(&self) -> impl Iterator<Item = (Option<HomeName>, Health)> {
        let homes = self.homes.open_ones().into_iter();
        homes.map(|home| (home.name.clone(), home.bridge.health()))
    }

    /// Delivers the recorded metrics before the process ends. This takes at most `limit`.
    pub async fn flush_at_shutdown(&self, limit: Duration) {
        self.metrics.flush_at_shutdown(limit).await;
    }
}

/// Runs `work` for at most `limit`, then fails with `deadline-exceeded`.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        let stage = Stage::Idempotency;
        Failure::Bridge(HomeError::DeadlineExceeded { stage }.into())
    })
}
