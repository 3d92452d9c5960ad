//! The stage of one case: a home, a relay, and callers with their own runtime.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchkey::base::clock::{Clock, SystemClock, Timestamp};
use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::{Command, HomeError, Outcome};
use latchkey_dev::home::{Break, Counters, Fault, HomeOptions, SimulatedHome, SocketFault};
use latchkey_dev::relay::{Ending, Relay};
use serde_json::json;
use testkit::{Limits, Port, RelayedHome, TestBridge, command, visit};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::case::{Case, Trouble};

/// The step timeout. This timeout is long enough for a step without a fault on a busy machine. This timeout is short
/// enough to expire thousands of times in one test.
const STEP_TIMEOUT: Duration = Duration::from_millis(300);

/// The maximum number of attempts for a command that times out.
const MAX_ATTEMPTS: usize = 20;

pub(crate) type Run = Result<Vec<Outcome>, BridgeError>;

/// The machine's clock with an offset that the test increases.
pub(crate) struct Shifted {
    system: SystemClock,
    by: Mutex<Duration>,
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        self.system.now().after(*self.by.lock().unwrap())
    }
}

/// A function that builds a latchkey from a home's URL, a token and a clock.
pub(crate) type Maker = fn(&str, &str, Arc<Shifted>) -> TestBridge;

/// Builds a latchkey with the default timeouts, for cases in which no step times out.
pub(crate) fn unhurried(home_url: &str, token: &str, _: Arc<Shifted>) -> TestBridge {
    TestBridge::new(home_url, token)
}

/// Builds a latchkey whose steps time out after [`STEP_TIMEOUT`].
pub(crate) fn hurried(home_url: &str, token: &str, clock: Arc<Shifted>) -> TestBridge {
    let limits = Limits {
        step: STEP_TIMEOUT,
        ..Limits::default()
    };
    TestBridge::with_limits(home_url, token, clock, limits)
}

/// A home, a relay in front of the home, and a latchkey that connects through the relay.
pub(crate) struct CaseStage {
    home: SimulatedHome,
    _port: Port,
    pub(crate) relay: Relay,
    token: String,
    pub(crate) latchkey: Arc<TestBridge>,
    clock: Arc<Shifted>,
    runtime: Threads,
}

/// latchkey's own runtime. The end of the runtime ends all of latchkey's tasks.
struct Threads(Option<Runtime>);

impl Threads {
    fn start(count: usize) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(Some(
            builder.worker_threads(count).enable_all().build().unwrap(),
        ))
    }

    fn spawn(&self, run: impl Future<Output = Run> + Send + 'static) -> JoinHandle<Run> {
        self.0.as_ref().unwrap().spawn(run)
    }

    /// Shuts the runtime down and waits until its tasks have ended.
    async fn end(mut self) {
        let runtime = self.0.take();
        tokio::task::spawn_blocking(move || drop(runtime))
            .await
            .unwrap();
    }
}

impl Drop for Threads {
    /// Shuts the runtime down in the background, because a failed test does not wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl CaseStage {
    /// Starts everything for a case.
    pub(crate) async fn start(case: &Case, latchkey: Maker) -> Self {
        let relayed = RelayedHome::start(HomeOptions::default()).await;
        let url = relayed.url();
        let RelayedHome {
            home,
            relay,
            token,
            port,
        } = relayed;
        let clock = Arc::new(Shifted {
            system: SystemClock::new(),
            by: Mutex::default(),
        });
        Self {
            home,
            _port: port,
            relay,
            latchkey: Arc::new(latchkey(&url, &token, clock.clone())),
            token,
            clock,
            runtime: Threads::start(case.threads),
        }
    }

    /// Opens a connection and uses it once.
    pub(crate) async fn warm_up(&self) -> Result<(), String> {
        let runs = self.send_until_in_time(|_| command(json!({"type": "ping"})));
        match runs.await.pop() {
            Some(Ok(_)) => Ok(()),
            other => Err(format!("the warm-up failed: {other:?}")),
        }
    }

    /// Sends one command at a time until a command does not time out. A command times out on a silent connection or
    /// on a busy machine.
    pub(crate) async fn send_until_in_time(&self, command: impl Fn(usize) -> Command) -> Vec<Run> {
        let mut runs = Vec::new();
        for number in 0..MAX_ATTEMPTS {
            let run = self.send(vec![command(number)], None).await.unwrap();
            let is_late = is_late(&run);
            runs.push(run);
            if !is_late {
                break;
            }
            // After 10 s, an open circuit breaker admits the next command.
            *self.clock.by.lock().unwrap() += Duration::from_secs(10);
        }
        runs
    }

    /// Sends one batch from one caller.
    fn send(&self, commands: Vec<Command>, patience: Option<Duration>) -> JoinHandle<Run> {
        let latchkey = self.latchkey.clone();
        self.runtime.spawn(async move {
            let deadline = match patience {
                Some(patience) => latchkey.deadline_in(patience),
                None => latchkey.deadline(),
            };
            latchkey.bridge.run(&commands, deadline).await
        })
    }

    /// Sends the batches of all callers concurrently. Returns the result of each caller.
    pub(crate) fn send_all(&self, case: &Case) -> impl Future<Output = Vec<Run>> + use<> {
        let batch = case.shape.batch;
        let callers: Vec<_> = (0..case.shape.callers)
            .map(|caller| {
                let commands = (caller * batch..(caller + 1) * batch).map(marked).collect();
                self.send(commands, case.patience)
            })
            .collect();
        async move {
            let mut runs = Vec::new();
            for caller in callers {
                runs.push(caller.await.unwrap());
            }
            runs
        }
    }

    /// Runs the case: the callers and the trouble together.
    pub(crate) async fn run(&mut self, case: &Case) -> Vec<Run> {
        let before = self.relay.counters();
        let moment = match &case.trouble {
            Trouble::Cut(at, ending) => {
                self.relay.cut_after(at.direction, at.bytes, *ending);
                None
            }
            Trouble::Fault(fault, Some(times)) => {
                self.home.set_fault_times(fault.clone(), *times);
                None
            }
            Trouble::Fault(fault, None) => {
                self.home.set_fault(fault.clone());
                None
            }
            Trouble::CutAll(at, _)
            | Trouble::Silence(at)
            | Trouble::Restart { at, .. }
            | Trouble::Revoke { at, .. } => Some(*at),
            Trouble::None => None,
        };
        let mut runs = pin!(self.send_all(case));
        let Some(moment) = moment else {
            return runs.await;
        };
        let early = tokio::select! {
            biased;
            _ = self.relay.wait_for(|now| moment.has_come(&before, now)) => None,
            runs = &mut runs => Some(runs),
        };
        self.cause_trouble(&case.trouble).await;
        match early {
            Some(runs) => runs,
            None => runs.await,
        }
    }

    /// Causes the trouble at its moment.
    async fn cause_trouble(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::CutAll(_, ending) => self.relay.drop_connections(*ending),
            Trouble::Silence(_) => self.relay.black_hole(),
            Trouble::Restart { says_goodbye, .. } => {
                if !says_goodbye {
                    self.home.kill().await;
                }
                self.home.restart().await.unwrap();
            }
            Trouble::Revoke { is_replaced, .. } => {
                if *is_replaced {
                    let another = self.home.mint_token("another");
                    self.latchkey.stored.put(Ok(&another));
                }
                self.home.revoke(&self.token);
            }
            Trouble::None | Trouble::Cut(..) | Trouble::Fault(..) => {}
        }
    }

    /// Ends the trouble. On return, a close of the connection has reached latchkey.
    pub(crate) async fn end_trouble(&self, trouble: &Trouble) {
        self.home.clear_faults();
        if let Trouble::Cut(at, ending) = trouble {
            // The relay now cuts only after more bytes than this case can send.
            self.relay.cut_after(at.direction, u64::MAX, *ending);
        }
        visit(&self.home).await;
    }

    /// Ends latchkey and then the network. Returns the counters after the home has read all bytes that reached it.
    pub(crate) async fn settle(self, trouble: &Trouble) -> Counters {
        drop(self.latchkey);
        self.runtime.end().await;
        // The relay now has latchkey's last bytes.
        visit(&self.home).await;
        self.relay.drop_connections(Ending::Fin);
        self.relay.wait_for(|now| now.open_connections == 0).await;
        if !freezes(trouble) {
            self.home.wait_for(|now| now.open_sockets == 0).await;
        }
        visit(&self.home).await;
        self.home.counters()
    }
}

/// Returns true if the home keeps a socket open and never reads from the socket again.
fn freezes(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Fault(Fault::Socket(SocketFault::At(_, Break::HalfOpen)), _)
    )
}

/// Returns a command that addresses its own entity.
pub(crate) fn marked(index: usize) -> Command {
    command(json!({
        "type": "call_service", "domain": "light", "service": "turn_on",
        "target": {"entity_id": marker(index)},
    }))
}

/// Returns the entity ID of the command with this index.
pub(crate) fn marker(index: usize) -> String {
    format!("light.lamp_{index:02}")
}

/// Returns true if the run timed out.
fn is_late(run: &Run) -> bool {
    let error = match run {
        Err(BridgeError::Home(error)) => error,
        Ok(outcomes) => match &outcomes[..] {
            [Outcome::Unknown(error)] => error,
            _ => return false,
        },
        Err(_) => return false,
    };
    matches!(
        error,
        HomeError::Timeout { .. } | HomeError::DeadlineExceeded { .. }
    )
}
