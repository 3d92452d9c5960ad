//! The parts that connections are made of: the adapters, selected by the settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::gateway::{ApiGateway, Gateway, SdkSettings};
use super::queue::{DeadlineQueue, SqsQueue};
use super::registry::{MemoryRegistry, Registry, SharedRegistry};
use crate::base::clock::Clock;
use crate::base::config::{Rate, RateLimits, WebSocketConfig};
use crate::base::metrics::Metrics;
use crate::base::random::Random;
use crate::base::table::Table;
use crate::service::rate_limit::RateLimiter;

/// The rate limit of attempts to authenticate from one source address: 30 at once, then one in two seconds. A household
/// or an office shares one address.
const ATTEMPTS: RateLimits = RateLimits {
    plans: BTreeMap::new(),
    others: Some(Rate {
        interval: Duration::from_secs(2),
        burst: 30,
    }),
};

/// The time limit of a rate limit check in the table.
const ATTEMPTS_TIMEOUT: Duration = Duration::from_secs(1);

/// The parts of the function that connections share.
pub struct Surroundings {
    /// Loads the settings of the AWS SDK.
    pub settings: SdkSettings,
    /// The shared table. `None`: connections are kept in memory.
    pub table: Option<Table>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub random: Random,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The parts of [`Connections`](super::Connections).
pub(super) struct Parts {
    pub(super) registry: Box<dyn Registry>,
    pub(super) gateway: Box<dyn Gateway>,
    /// The queue of deadlines. `None`: only keep-warm events enforce deadlines.
    pub(super) queue: Option<Box<dyn DeadlineQueue>>,
    pub(super) config: WebSocketConfig,
    /// The rate limit of attempts to authenticate, by source address.
    pub(super) attempts: RateLimiter,
    /// The rate limit of messages, by connection. Each execution environment counts the messages that it gets.
    pub(super) messages: RateLimiter,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

impl Parts {
    pub(super) fn new(config: WebSocketConfig, surroundings: Surroundings) -> Self {
        let Surroundings {
            settings,
            table,
            clock,
            random,
            metrics,
        } = surroundings;
        let limits = config.limits.message_rates();
        let registry: Box<dyn Registry> = match table.clone() {
            Some(table) => Box::new(SharedRegistry::new(table, clock.clone(), random)),
            None => Box::new(MemoryRegistry::default()),
        };
        let queue = config.queue_url.clone().map(|url| {
            let queue = SqsQueue::new(settings.clone(), url);
            Box::new(queue) as Box<dyn DeadlineQueue>
        });
        Self {
            registry,
            gateway: Box::new(ApiGateway::new(settings)),
            queue,
            config,
            attempts: RateLimiter::new(ATTEMPTS, table, ATTEMPTS_TIMEOUT, clock.clone()),
            messages: RateLimiter::new(limits, None, ATTEMPTS_TIMEOUT, clock.clone()),
            clock,
            metrics,
        }
    }
}
