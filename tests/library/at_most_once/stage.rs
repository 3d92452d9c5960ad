//! The stage of one case: a home, a relay, and callers on a runtime of their own.

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

/// Long enough for an undisturbed step on a busy machine, since a step cut short proves less; short enough to run into
/// thousands of times.
const LIMIT: Duration = Duration::from_millis(300);

/// How often a command is sent again for want of time.
const TRIES: usize = 20;

pub(crate) type Run = Result<Vec<Outcome>, BridgeError>;

/// The machine's clock, which can be put forward.
pub(crate) struct Shifted {
    system: SystemClock,
    by: Mutex<Duration>,
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        self.system.now().after(*self.by.lock().unwrap())
    }
}

/// How a latchkey is made for a home's URL and a token.
pub(crate) type Maker = fn(&str, &str, Arc<Shifted>) -> TestBridge;

/// For cases in which nothing is waited for in vain.
pub(crate) fn unhurried(home_url: &str, token: &str, _: Arc<Shifted>) -> TestBridge {
    TestBridge::new(home_url, token)
}

/// With [`LIMIT`].
pub(crate) fn hurried(home_url: &str, token: &str, clock: Arc<Shifted>) -> TestBridge {
    let limits = Limits {
        step: LIMIT,
        ..Limits::default()
    };
    TestBridge::with_limits(home_url, token, clock, limits)
}

/// A home, the relay before it, and a latchkey behind that.
pub(crate) struct CaseStage {
    home: SimulatedHome,
    _port: Port,
    pub(crate) relay: Relay,
    token: String,
    pub(crate) latchkey: Arc<TestBridge>,
    clock: Arc<Shifted>,
    runtime: Threads,
}

/// Latchkey's own runtime, so that it can be ended with everything that latchkey still has running.
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

    /// Waits until nothing of it runs any more.
    async fn end(mut self) {
        let runtime = self.0.take();
        tokio::task::spawn_blocking(move || drop(runtime))
            .await
            .unwrap();
    }
}

impl Drop for Threads {
    /// Where a test fails half way, there is nobody to wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl CaseStage {
    /// Starts everything for a case.
    pub(crate) async fn set(case: &Case, latchkey: Maker) -> Self {
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

    /// Has a connection made and used.
    pub(crate) async fn warm_up(&self) -> Result<(), String> {
        let runs = self.send_until_in_time(|_| command(json!({"type": "ping"})));
        match runs.await.pop() {
            Some(Ok(_)) => Ok(()),
            other => Err(format!("not even warm: {other:?}")),
        }
    }

    /// Has one caller send one command, and another as long as nothing was wrong but that time ran out: since there was
    /// silence, or since the machine is busy.
    pub(crate) async fn send_until_in_time(&self, command: impl Fn(usize) -> Command) -> Vec<Run> {
        let mut runs = Vec::new();
        for number in 0..TRIES {
            let run = self.send(vec![command(number)], None).await.unwrap();
            let is_late = is_late(&run);
            runs.push(run);
            if !is_late {
                break;
            }
            // Past any time for which latchkey spares a home that seems down.
            *self.clock.by.lock().unwrap() += Duration::from_secs(10);
        }
        runs
    }

    /// Has one caller send a batch.
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

    /// Has all callers send at once; what each of them was told.
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

    /// The case itself: callers and trouble together.
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
        self.trouble(&case.trouble).await;
        match early {
            Some(runs) => runs,
            None => runs.await,
        }
    }

    /// Makes the trouble whose moment has come.
    async fn trouble(&mut self, trouble: &Trouble) {
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

    /// Makes an end of it, and waits until it is felt: by then a farewell has reached latchkey's side.
    pub(crate) async fn end_trouble(&self, trouble: &Trouble) {
        self.home.clear_faults();
        if let Trouble::Cut(at, ending) = trouble {
            // Farther away than any byte to come.
            self.relay.cut_after(at.direction, u64::MAX, *ending);
        }
        visit(&self.home).await;
    }

    /// Ends latchkey, then the network, and counts once the home has read all that had reached it.
    pub(crate) async fn settle(self, trouble: &Trouble) -> Counters {
        drop(self.latchkey);
        self.runtime.end().await;
        // Latchkey's last bytes are now with the relay.
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

/// Whether a home in this trouble keeps a socket and never looks at it again.
fn freezes(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Fault(Fault::Socket(SocketFault::At(_, Break::HalfOpen)), _)
    )
}

/// A command whose executions can be told from all others'.
pub(crate) fn marked(index: usize) -> Command {
    command(json!({
        "type": "call_service", "domain": "light", "service": "turn_on",
        "target": {"entity_id": marker(index)},
    }))
}

/// What it is told by.
pub(crate) fn marker(index: usize) -> String {
    format!("light.lamp_{index:02}")
}

/// Whether it came to nothing for want of time.
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
