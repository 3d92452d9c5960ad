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

/// The time limits of a [`TestBridge`].
pub struct Limits {
    /// The limit of each step of a connection and of each command.
    pub step: Duration,
    /// The delays between attempts.
    pub retry: Retry,
}

impl Default for Limits {
    /// Limits that tests can exceed, and that an undisturbed step on a busy machine does not exceed.
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
    /// The source of the token.
    pub stored: Arc<Stored>,
    /// The clock of the bridge and of its deadlines.
    pub clock: Arc<dyn Clock>,
    /// The random numbers of the bridge.
    pub random: Random,
}

impl TestBridge {
    /// Returns a bridge to this home, with a new token that the home accepts.
    pub fn to(home: &SimulatedHome) -> Self {
        Self::new(&home.url(), &home.mint_token("latchkey"))
    }

    /// Returns a bridge to the home at a URL. Its source stores this token.
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

    /// Returns the deadline of an invocation that begins now and has a limit of 20 s.
    pub fn deadline(&self) -> Deadline {
        self.deadline_in(Duration::from_secs(20))
    }

    /// Returns the deadline of an invocation that begins now and has this limit.
    pub fn deadline_in(&self, duration: Duration) -> Deadline {
        Deadline::at(self.clock.now().after(duration))
    }
}

/// Returns a command, which must be a valid one.
pub fn command(value: Value) -> Command {
    Command::new(value).unwrap()
}
