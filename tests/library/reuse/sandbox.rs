//! A sandbox that can be frozen: latchkey has a runtime of one thread to itself, and between two calls into it nothing
//! of latchkey runs, while the home and the network go on in a thread of theirs.

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

/// The light all commands are for.
const LIGHT: &str = "light.kitchen";

/// A home and the network before it.
pub(crate) struct World {
    runtime: Runtime,
    pub(crate) home: SimulatedHome,
    _port: Port,
    pub(crate) relay: Relay,
    pub(crate) token: String,
}

/// A latchkey that runs only while it is asked something.
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

    /// A latchkey of this home's, with nothing between the two.
    pub(crate) fn sandbox(&self, clock: Arc<dyn Clock>) -> Sandbox {
        Sandbox::of(impatient(&self.home.url(), &self.token, clock))
    }

    /// A latchkey of this home's behind the relay.
    pub(crate) fn distant_sandbox(&self, clock: Arc<dyn Clock>) -> Sandbox {
        let url = format!("http://{}", self.relay.addr());
        Sandbox::of(impatient(&url, &self.token, clock))
    }

    /// The home starts anew, after a farewell or without one.
    pub(crate) fn restart(&mut self, says_goodbye: bool) {
        let Self { runtime, home, .. } = self;
        runtime.block_on(async {
            if !says_goodbye {
                home.kill().await;
            }
            home.restart().await.unwrap();
            // By then the old connections have ended.
            visit(home).await;
        });
    }

    pub(crate) fn counters(&self) -> Counters {
        self.home.counters()
    }

    /// How often the light's service was executed.
    pub(crate) fn executions(&self) -> usize {
        self.counters().calls_of("light", "toggle", LIGHT)
    }

    /// Waits until the home's counters fulfil a condition, and for what the home does at that moment.
    pub(crate) fn until_home(&self, condition: impl Fn(&Counters) -> bool) {
        self.runtime.block_on(async {
            self.home.wait_for(condition).await;
            visit(&self.home).await;
        });
    }

    /// Waits until so many bytes more have come back through the relay than there were.
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

    /// One invocation with one command.
    pub(crate) fn toggle(&self) -> Result<Vec<Outcome>, BridgeError> {
        self.toggle_by(self.latchkey.deadline())
    }

    /// One invocation with so much time.
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

    /// One invocation, which must succeed.
    pub(crate) fn toggle_well(&self) {
        let outcome = self.toggle();
        let is_done = match &outcome {
            Ok(outcomes) => matches!(outcomes[..], [Outcome::Answered(Answer::Success(_))]),
            Err(_) => false,
        };
        assert!(is_done, "{outcome:?}");
    }

    /// Lets latchkey see what has come in before it is asked anything, as it may on waking.
    pub(crate) fn look_around(&self) {
        self.runtime.block_on(async {
            // Each turn takes a look at the sockets.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// A latchkey that cannot wait between two attempts, since no invocation lasts that long: what succeeds has not waited.
fn impatient(home_url: &str, token: &str, clock: Arc<dyn Clock>) -> TestBridge {
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
