//! The application: what is done in homes, whoever asks for it.

mod intake;
mod invocation;
mod outcome;
mod run;
mod upkeep;

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
use crate::service::access::{Caller, Door};
use crate::service::failure::Failure;
use crate::service::idempotency::Idempotency;
use crate::service::rate_limit::RateLimiter;
use crate::service::rotation::Rotation;

pub(crate) use intake::Room;
pub(crate) use invocation::Invocation;
pub(crate) use outcome::PerHome;
pub(crate) use run::Asked;

/// What is kept of an invocation's time to write the answer.
const TIME_TO_ANSWER: Duration = Duration::from_millis(250);

/// How many homes are seen to at once.
const AT_ONCE: usize = 8;

/// How long tokens may take to be read again after an answer, however much time is left.
const REFRESH_LIMIT: Duration = Duration::from_secs(5);

/// How long metrics may take to be delivered, however much time is left.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// How long metrics may take to be delivered when the sandbox is taken down: Lambda grants half a second in all.
const FLUSH_LIMIT_AT_SHUTDOWN: Duration = Duration::from_millis(400);

/// Everything that serves invocations.
pub struct App {
    pub(crate) homes: Homes,
    pub(crate) rotation: Rotation,
    pub(crate) idempotency: Idempotency,
    pub(crate) door: Door,
    pub(crate) rates: RateLimiter,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) metrics: Arc<Metrics>,
}

impl App {
    /// Begins what the first invocation will need: token, verdict, session. To be run while nobody waits.
    pub async fn warm_up(&self, limit: Duration) {
        let deadline = Deadline::at(self.clock.now().after(limit));
        // Whatever goes wrong here is met again, and reported, by the first invocation.
        for home in self.homes.open_ones() {
            home.bridge.warm_up(deadline).await;
        }
    }

    /// Counts a failure that must be looked into.
    pub(crate) fn count(&self, failure: &Failure) {
        if let Failure::OutcomeUnknown(_) = failure {
            self.metrics.record(Metric::CommandOutcomeUnknown(1));
        }
    }

    /// Lets go of token and connections before this process is made a snapshot of.
    pub async fn suspend(&self) {
        self.homes.suspend().await;
    }

    /// Makes all randomness this process's own, once many processes were started from one snapshot.
    pub fn reseed(&self, seed: u64) {
        self.random.reseed(seed);
        reseed_masks();
    }

    /// Does what callers were not to wait for, within the time left to the invocation that ends at `deadline_ms` (Unix
    /// time): tokens past their soft TTL are read again, and what was measured is delivered. To be called after the
    /// answer was posted.
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

    /// How latchkey is as a whole, in a word.
    pub fn status(&self) -> Status {
        Self::status_of(self.health().map(|(_, health)| health.status))
    }

    /// How homes are in a word: one of several that is not well is no reason to give up on the others.
    pub(crate) fn status_of(mut statuses: impl Iterator<Item = Status>) -> Status {
        let Some(first) = statuses.next() else {
            return Status::Degraded;
        };
        statuses.fold(
            first,
            |all, one| if all == one { all } else { Status::Degraded },
        )
    }

    /// How each home is that is open here and is this caller's business: of several their own, or all for who may do
    /// everything and belongs to no tenant.
    pub(crate) fn health_for(
        &self,
        caller: &Caller,
    ) -> impl Iterator<Item = (Option<HomeName>, Health)> {
        let tenant = caller.tenant.clone();
        let all = !self.homes.are_several() || (tenant.is_none() && caller.is_admin());
        self.health()
            .filter(move |(name, _)| all || *name == tenant)
    }

    /// How each home is that is open here.
    pub fn health(&self) -> impl Iterator<Item = (Option<HomeName>, Health)> {
        let homes = self.homes.open_ones().into_iter();
        homes.map(|home| (home.name.clone(), home.bridge.health()))
    }

    /// Delivers what was measured, before the process ends.
    pub async fn flush_at_shutdown(&self) {
        self.metrics
            .flush_at_shutdown(FLUSH_LIMIT_AT_SHUTDOWN)
            .await;
    }
}

/// Waits for no longer than the invocation lasts.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        let stage = Stage::Idempotency;
        Failure::Bridge(HomeError::DeadlineExceeded { stage }.into())
    })
}
