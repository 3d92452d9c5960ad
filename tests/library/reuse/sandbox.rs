//! An execution environment that can be frozen. latchkey has its own single-threaded runtime, so latchkey runs only
//! during a call. The home and the network run in another thread.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock, Deadline};
use latchkey::home::bridge::{BridgeError, Retry};
use latchkey::home::home_assistant::{Answer, Outcome};
use latchkey_dev::home::{Counters, HomeOptions, SimulatedHome};
use latchkey_dev::relay::Relay;
use serde_json::json;
use testkit::{Limits, Port, RelayedHome, TestBridge, command, visit};
use tokio::runtime::{Builder, Runtime};

/// The light that all commands address.
const LIGHT: &str = "light.kitchen";

/// A home and the relay in front of the home.
pub(crate) struct World {
    runtime: Runtime,
    pub(crate) home: SimulatedHome,
    _port: Port,
    pub(crate) relay: Relay,
    pub(crate) token: String,
}

/// A latchkey that runs only during a call.
pub(crate) struct Sandbox {
    runtime: Runtime,
    pub(crate) latchkey: TestBridge,
}

impl World {
    pub(crate) fn start(options: HomeOptions) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let relayed = runtime.block_on(RelayedHome::start(options));
        let RelayedHome {
            home,
            relay,
            token,
            port,
        } = relayed;
        Self {
            runtime,
            home,
            _port: port,
            relay,
            token,
        }
    }

    /// Returns a latchkey that connects directly to the home.
    pub(crate) fn sandbox(&self, clock: Arc<dyn Clock>) -> Sandbox {
        Sandbox::of(latchkey_with_endless_retry_delay(
            &self.home.url(),
            &self.token,
            clock,
        ))
    }

    /// Returns a latchkey that connects through the relay.
    pub(crate) fn relayed_sandbox(&self, clock: Arc<dyn Clock>) -> Sandbox {
        let url = format!("http://{}", self.relay.addr());
        Sandbox::of(latchkey_with_endless_retry_delay(&url, &self.token, clock))
    }

    /// Restarts the home, with or without closing its sockets first.
    pub(crate) fn restart(&mut self, says_goodbye: bool) {
        let Self { runtime, home, .. } = self;
        runtime.block_on(async {
            if !says_goodbye {
                home.kill().await;
            }
            home.restart().await.unwrap();
            // After this request the old connections have ended.
            visit(home).await;
        });
    }

    pub(crate) fn counters(&self) -> Counters {
        self.home.counters()
    }

    /// Returns the number of executions of the light's service.
    pub(crate) fn executions(&self) -> usize {
        self.counters().calls_of("light", "toggle", LIGHT)
    }

    /// Waits until the home's counters fulfil a condition and the home has finished its current work.
    pub(crate) fn until_home(&self, condition: impl Fn(&Counters) -> bool) {
        self.runtime.block_on(async {
            self.home.wait_for(condition).await;
            visit(&self.home).await;
        });
    }

    /// Waits until `more` bytes have passed through the relay to the client since `before`.
    pub(crate) fn until_passed(&self, before: u64, more: u64) {
        let condition = self
            .relay
            .wait_for(|now| now.bytes_to_client >= before + more);
        self.runtime.block_on(condition);
    }
}

impl Sandbox {
    pub(crate) fn of(latchkey: TestBridge) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, latchkey }
    }

    /// Runs one invocation with one command.
    pub(crate) fn toggle(&self) -> Result<Vec<Outcome>, BridgeError> {
        self.toggle_by(self.latchkey.deadline())
    }

    /// Runs one invocation with this much time.
    pub(crate) fn toggle_within(&self, time: Duration) -> Result<Vec<Outcome>, BridgeError> {
        self.toggle_by(self.latchkey.deadline_in(time))
    }

    fn toggle_by(&self, deadline: Deadline) -> Result<Vec<Outcome>, BridgeError> {
        let toggle = command(json!({
            "type": "call_service", "domain": "light", "service": "toggle",
            "target": {"entity_id": LIGHT},
        }));
        self.runtime
            .block_on(self.latchkey.bridge.run(&[toggle], deadline))
    }

    /// Runs one invocation and asserts that it succeeds.
    pub(crate) fn toggle_successfully(&self) {
        let outcome = self.toggle();
        let is_done = match &outcome {
            Ok(outcomes) => matches!(outcomes[..], [Outcome::Answered(Answer::Success(_))]),
            Err(_) => false,
        };
        assert!(is_done, "{outcome:?}");
    }

    /// Lets latchkey process incoming data before the next call, as can happen after a freeze.
    pub(crate) fn look_around(&self) {
        self.runtime.block_on(async {
            // Each turn polls the sockets.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// Returns a latchkey whose retry delay is longer than any invocation. A command that succeeds has therefore not
/// waited for a retry.
fn latchkey_with_endless_retry_delay(
    home_url: &str,
    token: &str,
    clock: Arc<dyn Clock>,
) -> TestBridge {
    let never = Duration::from_secs(3_600);
    let limits = Limits {
        retry: Retry {
            base: never,
            cap: never,
            attempts: 2,
        },
        ..Limits::default()
    };
    TestBridge::with_limits(home_url, token, clock, limits)
}
