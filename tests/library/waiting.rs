//! Tests of the time that callers wait for a home that is down, and of the number of connection attempts. The test
//! moves the clock.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock, ManualClock, Timestamp};
use latchkey_dev::home::RestFault;
use serde_json::{Value, json};
use testkit::{Port, Sandbox, home};

/// The longest time until a caller gets `home-unreachable`.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A clock that advances by `step` at each reading.
struct BusyClock {
    clock: ManualClock,
    step: Duration,
}

impl BusyClock {
    fn new(step: Duration) -> Arc<Self> {
        let clock = ManualClock::at(Duration::from_secs(1_800_000_000));
        Arc::new(Self { clock, step })
    }
}

impl Clock for BusyClock {
    fn now(&self) -> Timestamp {
        self.clock.advance(self.step);
        self.clock.now()
    }
}

/// Starts a function that does not use AWS. Each event has a deadline of 10 min.
async fn function(url: &str, token: &str, attempts: &str, clock: Arc<BusyClock>) -> Sandbox {
    Sandbox::builder()
        .local()
        .env("HA_URL", url)
        .env("HA_TOKEN", token)
        .env("HA_RETRY_ATTEMPTS", attempts)
        // Longer than the system's resolver repeats a lost question.
        .env("HA_CONNECT_TIMEOUT_MS", "20000")
        .env("HA_VALIDATE_TIMEOUT_MS", "20000")
        .clock(clock)
        .time(Duration::from_secs(600))
        .start()
        .await
}

fn ping() -> Value {
    json!({ "command": { "type": "ping" } })
}

/// Returns the number of connection attempts to the only home.
fn connection_attempts(function: &Sandbox) -> u64 {
    let health = function.health();
    // The first attempt is not a reconnect.
    health.session.reconnects + u64::from(health.session.last_attempt.is_some())
}

async fn token() -> String {
    let home = home().await;
    home.mint_token("latchkey")
}

#[tokio::test]
async fn home_that_is_down_is_reported_to_each_caller_within_5_s() {
    let port = Port::reserve();
    for url in [
        format!("http://{}", port.address),
        "http://no-such-host.invalid:8123".to_owned(),
    ] {
        let clock = BusyClock::new(Duration::from_millis(50));
        let function = function(&url, &token().await, "10", clock.clone()).await;
        for caller in 1..=3 {
            let before = connection_attempts(&function);
            let began = clock.clock.now();
            let answer = function.handle(&ping()).await;
            let waited = clock.clock.now().since(began);
            assert_eq!(answer["type"], "urn:latchkey:problem:home-unreachable");
            assert!(waited < LONGEST_WAIT, "{url}: caller {caller}: {waited:?}");
            let asked = connection_attempts(&function) - before;
            assert!((2..10).contains(&asked), "{url}: {asked} attempts");
        }
    }
}

#[tokio::test]
async fn keep_warm_tries_a_home_that_is_down_once_with_the_breaker_closed_or_open() {
    let port = Port::reserve();
    let clock = BusyClock::new(Duration::ZERO);
    let url = format!("http://{}", port.address);
    let function = function(&url, &token().await, "3", clock.clone()).await;
    let keep_warm = json!({ "source": "keep-warm" });
    for breaker in ["closed", "closed", "open", "open"] {
        let before = connection_attempts(&function);
        let answer = function.handle(&keep_warm).await;
        assert_eq!(
            answer["problem"]["type"],
            "urn:latchkey:problem:home-unreachable"
        );
        assert_eq!(connection_attempts(&function) - before, 1, "{answer}");
        let health = function.health();
        assert_eq!(health.breaker, breaker);
    }
}

#[tokio::test]
async fn starting_home_is_retried_as_often_as_configured() {
    for (configured, expected) in [("0", 1), ("1", 1), ("2", 2), ("5", 5)] {
        let home = home().await;
        let token = home.mint_token("latchkey");
        home.set_fault(RestFault::Status(503));
        // More time passes than latchkey allows for an unreachable home.
        let clock = BusyClock::new(Duration::from_secs(1));
        let function = function(&home.url(), &token, configured, clock.clone()).await;
        let answer = function.handle(&ping()).await;
        assert_eq!(answer["type"], "urn:latchkey:problem:home-starting");
        assert_eq!(connection_attempts(&function), expected, "{configured}");
    }
}
