//! A bridge over the simulated home, with a token source that a test can script and count.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use latchkey::base::ambient::Ambient;
use latchkey::base::clock::{Clock, Deadline, SystemClock};
use latchkey::base::config::{Config, TokenFormat};
use latchkey::base::metrics::{Meter, Metrics};
use latchkey::base::random::Random;
use latchkey::home::bridge::{Bridge, Retry};
use latchkey::home::home_assistant::{Command, Extras, Session};
use latchkey::home::source::{
    Origin, SecretSource, Setting, SourceError, SourceFault, StoredSecret,
};
use latchkey::home::token::TokenService;
use serde_json::Value;

/// A place that holds whatever the test puts there, and counts how often it is read.
#[derive(Default)]
pub(crate) struct Stored {
    value: Mutex<Option<Result<String, SourceError>>>,
    version: AtomicU64,
    reads: AtomicU64,
}

impl Stored {
    pub(crate) fn put(&self, value: Result<&str, SourceError>) {
        *self.value.lock().unwrap() = Some(value.map(str::to_owned));
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on it cannot be read.
    pub(crate) fn fail(&self, fault: SourceFault) {
        *self.value.lock().unwrap() = Some(Err(self.origin().failed(fault)));
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }
}

impl SecretSource for Stored {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let version = i64::try_from(self.version.load(Ordering::SeqCst)).unwrap();
        let value = self.value.lock().unwrap().clone().unwrap();
        Box::pin(std::future::ready(value.map(|text| StoredSecret {
            value: text.into(),
            version: Some(version),
        })))
    }

    fn origin(&self) -> Origin {
        Origin::new(Setting::Token, "/stored")
    }
}

/// How long latchkey waits for things.
pub(crate) struct Limits {
    /// For each step.
    pub(crate) step: Duration,
    /// Between attempts.
    pub(crate) retry: Retry,
}

impl Default for Limits {
    /// Short enough to meet every one of them, long enough for a busy machine to finish in.
    fn default() -> Self {
        Self {
            step: Duration::from_millis(1_000),
            retry: Retry {
                base: Duration::from_millis(1),
                cap: Duration::from_millis(4),
                attempts: 3,
            },
        }
    }
}

pub(crate) struct Fixture {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) stored: Arc<Stored>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
}

impl Fixture {
    pub(crate) fn new(home_url: &str, token: &str) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self::with_limits(home_url, token, clock, Limits::default())
    }

    pub(crate) fn with_limits(
        home_url: &str,
        token: &str,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self::build(home_url, token, Extras::default(), clock, limits)
    }

    pub(crate) fn with_all(
        home_url: &str,
        token: &str,
        extras: Extras,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::build(home_url, token, extras, clock, Limits::default())
    }

    fn build(
        home_url: &str,
        token: &str,
        extras: Extras,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        let limit_ms = limits.step.as_millis().to_string();
        let config = Config::read(&[
            ("HA_URL", home_url),
            ("HA_VALIDATE_TIMEOUT_MS", &limit_ms),
            ("HA_CONNECT_TIMEOUT_MS", &limit_ms),
            ("HA_COMMAND_TIMEOUT_MS", &limit_ms),
            ("HA_MAX_MESSAGE_BYTES", "1048576"),
        ])
        .unwrap();
        let stored = Arc::new(Stored::default());
        stored.put(Ok(token));
        let meter = Meter::new(Arc::new(Metrics::new(None, clock.clone())), None);
        let random = Random::seeded(1);
        let ambient = Ambient {
            clock: clock.clone(),
            random: random.clone(),
            meter,
        };
        let tokens = TokenService::new(
            Box::new(stored.clone()),
            TokenFormat::Jwt,
            Duration::from_secs(300),
            ambient.clone(),
        );
        let address = config.home.unwrap().address;
        let session = Session::new(address, config.limits, extras, clock.clone());
        let retry = limits.retry;
        let bridge = Bridge::new(tokens, session, None, ambient).with_retry(retry);
        Self {
            bridge: Arc::new(bridge),
            stored,
            clock,
            random,
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline_in(Duration::from_secs(20))
    }

    pub(crate) fn deadline_in(&self, duration: Duration) -> Deadline {
        Deadline::at(self.clock.now().after(duration))
    }
}

pub(crate) fn command(value: Value) -> Command {
    Command::new(value).unwrap()
}
