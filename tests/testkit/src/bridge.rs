//! A bridge to one home, with a token source that a test fills and counts.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::ambient::Ambient;
use latchkey::base::clock::{Clock, Deadline, SystemClock};
use latchkey::base::config::{Config, TokenFormat};
use latchkey::base::metrics::{Meter, Metrics};
use latchkey::base::random::Random;
use latchkey::home::bridge::{Bridge, Retry};
use latchkey::home::home_assistant::{Command, Extras, Session};
use latchkey::home::token::TokenService;
use latchkey_dev::home::SimulatedHome;
use serde_json::Value;

use crate::stored::Stored;

/// How long a [`TestBridge`] waits.
pub struct Limits {
    /// For each step of a connection and for each command.
    pub step: Duration,
    /// Between attempts.
    pub retry: Retry,
}

impl Default for Limits {
    /// Short enough for tests to run into each limit, long enough for an undisturbed step on a busy machine.
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

/// Latchkey's connection to one home.
pub struct TestBridge {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// The source of its token.
    pub stored: Arc<Stored>,
    /// Its clock, which deadlines refer to.
    pub clock: Arc<dyn Clock>,
    /// The source of its randomness.
    pub random: Random,
}

impl TestBridge {
    /// A bridge to this home, with a new token of the home's.
    pub fn to(home: &SimulatedHome) -> Self {
        Self::new(&home.url(), &home.mint_token("latchkey"))
    }

    /// A bridge to the home at a URL, with this token stored.
    pub fn new(home_url: &str, token: &str) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self::with_limits(home_url, token, clock, Limits::default())
    }

    /// As [`TestBridge::new`], with another clock and other limits.
    pub fn with_limits(home_url: &str, token: &str, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self::build(home_url, token, Extras::default(), clock, limits)
    }

    /// As [`TestBridge::new`], for a private or fenced home.
    pub fn with_extras(home_url: &str, token: &str, extras: Extras) -> Self {
        let clock = Arc::new(SystemClock::new());
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
        let random = Random::seeded(1);
        let ambient = Ambient {
            clock: clock.clone(),
            random: random.clone(),
            meter: Meter::new(Arc::new(Metrics::new(None, clock.clone())), None),
        };
        let tokens = TokenService::new(
            Box::new(stored.clone()),
            TokenFormat::Jwt,
            Duration::from_secs(300),
            ambient.clone(),
        );
        let address = config.home.unwrap().address;
        let session = Session::new(address, config.limits, extras, clock.clone());
        let bridge = Bridge::new(tokens, session, None, ambient).with_retry(limits.retry);
        Self {
            bridge: Arc::new(bridge),
            stored,
            clock,
            random,
        }
    }

    /// The deadline of an invocation that begins now and has 20 s.
    pub fn deadline(&self) -> Deadline {
        self.deadline_in(Duration::from_secs(20))
    }

    /// The deadline of an invocation that begins now and has so much time.
    pub fn deadline_in(&self, duration: Duration) -> Deadline {
        Deadline::at(self.clock.now().after(duration))
    }
}

/// Returns a command, which must be a valid one.
pub fn command(value: Value) -> Command {
    Command::new(value).unwrap()
}
