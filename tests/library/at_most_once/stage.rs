//! The stage of one case: a home, a relay, and callers with their own runtime.

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method};
use latchkey::base::clock::{Clock, Deadline, SystemClock, Timestamp};
use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::{
    Answer, Command, Expected, HomeError, Outcome, RestCall, RestOutcome, Stage,
};
use latchkey_dev::home::{Break, Counters, Fault, HomeOptions, SimulatedHome, SocketFault};
use latchkey_dev::relay::{Ending, Relay};
use serde_json::json;
use testkit::{Limits, Port, RelayedHome, TestBridge, command, visit};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::case::{Case, Route, Trouble};

/// The step timeout. This timeout is long enough for a step without a fault on a busy machine. This timeout is short
/// enough to expire thousands of times in one test.
const STEP_TIMEOUT: Duration = Duration::from_millis(300);

/// The maximum number of attempts for a command that times out.
const MAX_ATTEMPTS: usize = 20;

/// The home's reply to a command that was sent.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The command succeeded.
    Answered,
    /// The home answered with an error.
    Refused,
    /// The command may or may not have been executed.
    Unknown(HomeError),
}

/// The result of a batch, or of one request. `Err` means that no command was sent.
pub(crate) type Run = Result<Vec<Reply>, BridgeError>;

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

    fn spawn(&self, run: impl Future<Output = Vec<Run>> + Send + 'static) -> JoinHandle<Vec<Run>> {
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
        let latchkey = self.latchkey.clone();
        let ping = move || {
            let latchkey = latchkey.clone();
            async move { vec![run(&latchkey, &[command(json!({"type": "ping"}))], None).await] }
        };
        let runs = self.until_in_time(|_| self.runtime.spawn(ping()));
        match runs.await.pop() {
            Some(Ok(_)) => Ok(()),
            other => Err(format!("the warm-up failed: {other:?}")),
        }
    }

    /// Sends one command at a time until a command does not time out. `index` returns the index of a command.
    pub(crate) async fn send_until_in_time(
        &self,
        route: Route,
        index: impl Fn(usize) -> usize,
    ) -> Vec<Run> {
        let send = |number| self.send(route, index(number)..index(number) + 1, None);
        self.until_in_time(send).await
    }

    /// Sends until a command does not time out, which it does on a silent connection or on a busy machine, and does not
    /// meet an earlier token check.
    async fn until_in_time(&self, send: impl Fn(usize) -> JoinHandle<Vec<Run>>) -> Vec<Run> {
        let mut runs = Vec::new();
        for number in 0..MAX_ATTEMPTS {
            let sent = send(number).await.unwrap();
            let is_over = !sent.iter().any(|run| is_late(run) || met_an_old_check(run));
            runs.extend(sent);
            if is_over {
                break;
            }
            // After 10 s, an open circuit breaker admits the next command.
            *self.clock.by.lock().unwrap() += Duration::from_secs(10);
        }
        runs
    }

    /// Sends the commands of one caller.
    fn send(
        &self,
        route: Route,
        indices: Range<usize>,
        patience: Option<Duration>,
    ) -> JoinHandle<Vec<Run>> {
        let latchkey = self.latchkey.clone();
        self.runtime.spawn(async move {
            match route {
                Route::Session => {
                    let commands: Vec<_> = indices.map(marked).collect();
                    vec![run(&latchkey, &commands, patience).await]
                }
                Route::Rest => {
                    let mut runs = Vec::new();
                    for index in indices {
                        runs.push(write(&latchkey, index, patience).await);
                    }
                    runs
                }
            }
        })
    }

    /// Sends the batches of all callers concurrently. Returns the result of each caller.
    pub(crate) fn send_all(&self, case: &Case) -> impl Future<Output = Vec<Run>> + use<> {
        let batch = case.shape.batch;
        let callers: Vec<_> = (0..case.shape.callers)
            .map(|caller| {
                let indices = caller * batch..(caller + 1) * batch;
                self.send(case.shape.route, indices, case.patience)
            })
            .collect();
        async move {
            let mut runs = Vec::new();
            for caller in callers {
                runs.extend(caller.await.unwrap());
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

fn deadline(latchkey: &TestBridge, patience: Option<Duration>) -> Deadline {
    match patience {
        Some(patience) => latchkey.deadline_in(patience),
        None => latchkey.deadline(),
    }
}

/// Runs a batch over the WebSocket.
async fn run(latchkey: &TestBridge, commands: &[Command], patience: Option<Duration>) -> Run {
    let run = latchkey.bridge.run(commands, deadline(latchkey, patience));
    let reply = |outcome| match outcome {
        Outcome::Answered(Answer::Success(_)) => Reply::Answered,
        Outcome::Answered(Answer::Failure(_)) => Reply::Refused,
        Outcome::Unknown(error) => Reply::Unknown(error),
    };
    Ok(run.await?.into_iter().map(reply).collect())
}

/// Runs the command with this index over the REST API.
async fn write(latchkey: &TestBridge, index: usize, patience: Option<Duration>) -> Run {
    let call = RestCall {
        method: Method::POST,
        path: "/api/services/light/turn_on".to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: json!({ "entity_id": marker(index) }).to_string().into(),
        only_reads: false,
        expected: Expected::Json,
    };
    let deadline = deadline(latchkey, patience);
    let reply = match latchkey.bridge.rest(&call, deadline).await? {
        RestOutcome::Unknown(error) => Reply::Unknown(error),
        RestOutcome::Answered(answer) => {
            let is_success = answer.status.is_success();
            let limit = deadline.limit(Duration::MAX, latchkey.clock.now());
            match answer.body.whole(limit).await {
                Ok(_) if is_success => Reply::Answered,
                Ok(_) => Reply::Refused,
                Err(broken) => Reply::Unknown(broken.error),
            }
        }
    };
    Ok(vec![reply])
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

/// Returns true if the run may have got the error of a token check that began before it, for the session in the
/// background.
fn met_an_old_check(run: &Run) -> bool {
    match run {
        Err(BridgeError::Home(HomeError::Unreachable { stage, .. })) => *stage == Stage::Validate,
        Err(BridgeError::Home(HomeError::Starting)) => true,
        _ => false,
    }
}

/// Returns true if the run timed out.
fn is_late(run: &Run) -> bool {
    let error = match run {
        Err(BridgeError::Home(error)) => error,
        Ok(replies) => match &replies[..] {
            [Reply::Unknown(error)] => error,
            _ => return false,
        },
        Err(_) => return false,
    };
    matches!(
        error,
        HomeError::Timeout { .. } | HomeError::DeadlineExceeded { .. }
    )
}
