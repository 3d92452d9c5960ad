//! Plays one case and checks the rules that every case must obey.

use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::HomeError;
use latchkey_dev::home::{Counters, Fault, SocketFault};

use super::case::{Bytes, Case, Route, Shape, Trouble};
use super::stage::{CaseStage, Maker, Reply, Run, marker, unhurried};

/// The outcome of a command that a caller got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    /// The command succeeded.
    Answered,
    /// The home answered with an error.
    Refused,
    /// The command was not sent.
    NotSent,
    /// The outcome is unknown.
    Unknown,
}

/// The reported outcome and the executions of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) told: Told,
    /// The number of executions in the home.
    pub(crate) executed: usize,
}

impl Fate {
    fn is_lawful(self) -> bool {
        match self.told {
            Told::Answered => self.executed == 1,
            Told::NotSent => self.executed == 0,
            Told::Refused | Told::Unknown => self.executed <= 1,
        }
    }
}

/// Plays a case and returns the fates of its commands. The error lists the broken rules.
///
/// The runtime must have one thread. Then a home that has answered a later request has also read every byte that
/// arrived earlier.
pub(crate) async fn play(case: Case, latchkey: Maker) -> Result<Vec<Fate>, String> {
    let mut stage = CaseStage::start(&case, latchkey).await;
    if case.shape.is_warm {
        stage.warm_up().await?;
    }
    let runs = stage.run(&case).await;
    let mut told = all_told(&runs, case.shape.commands_a_run());
    let commands = told.len();
    stage.end_trouble(&case.trouble).await;
    let afterwards = stage
        .send_until_in_time(case.shape.route, |number| commands + number)
        .await;
    told.extend(all_told(&afterwards, 1));
    let reads = stage.latchkey.stored.reads();
    let counters = stage.settle(&case.trouble).await;

    let fates = told.iter().enumerate().map(|(index, told)| Fate {
        told: *told,
        executed: executions(&counters, index),
    });
    let mut fates: Vec<Fate> = fates.collect();
    let mut broken = Vec::new();
    for (index, fate) in fates.iter().enumerate() {
        if !fate.is_lawful() {
            broken.push(format!("command {index}: {fate:?}"));
        }
    }
    if counters.service_calls.len() > fates.len() {
        broken.push(format!("{} executions", counters.service_calls.len()));
    }
    // latchkey cannot know a verdict on the token that arrives after a step timeout. A caller's own deadline does not
    // excuse another failed login.
    let unheard = runs
        .iter()
        .chain(&afterwards)
        .filter(|run| is_timed_out(run));
    let allowed = allowed_failed_logins(&case) + unheard.count() as u64;
    if counters.failed_logins > allowed {
        broken.push(format!("{} failed logins", counters.failed_logins));
    }
    if reads > 1 && allowed_failed_logins(&case) == 0 {
        broken.push(format!("the token was read {reads} times"));
    }
    if !is_over(&case.trouble, told[told.len() - 1]) {
        broken.push(format!("outcome of later commands: {afterwards:?}"));
    }
    if broken.is_empty() {
        fates.truncate(commands);
        Ok(fates)
    } else {
        Err(broken.join("; "))
    }
}

/// Measures the bytes of an exchange of this shape without a fault.
pub(crate) async fn measure(shape: Shape) -> Bytes {
    let case = Case {
        shape,
        trouble: Trouble::None,
        threads: 1,
        patience: None,
    };
    let stage = CaseStage::start(&case, unhurried).await;
    if shape.is_warm {
        stage.warm_up().await.unwrap();
    }
    let before = stage.relay.counters();
    let told = all_told(&stage.send_all(&case).await, shape.commands_a_run());
    assert!(
        told.iter().all(|told| *told == Told::Answered),
        "{shape:?}: {told:?}"
    );
    let after = stage.relay.counters();
    stage.settle(&case.trouble).await;
    Bytes {
        to_server: after.bytes_to_server - before.bytes_to_server,
        to_client: after.bytes_to_client - before.bytes_to_client,
    }
}

/// Returns true if the outcome of a later command shows that the trouble is over.
fn is_over(trouble: &Trouble, told: Told) -> bool {
    match trouble {
        // Every stored token is revoked.
        Trouble::Revoke { is_replaced, .. } if !is_replaced => told == Told::NotSent,
        // The home has rejected the only token, unless no login met the fault.
        Trouble::Fault(Fault::Socket(SocketFault::AuthInvalid), _) => {
            matches!(told, Told::NotSent | Told::Answered)
        }
        _ => told == Told::Answered,
    }
}

fn is_timed_out(run: &Run) -> bool {
    matches!(run, Err(BridgeError::Home(HomeError::Timeout { .. })))
}

/// Returns the highest number of failed logins that the case allows. Each REST request that is in flight when the token
/// is revoked presents the token.
fn allowed_failed_logins(case: &Case) -> u64 {
    let in_flight = match case.shape.route {
        Route::Session => 0,
        Route::Rest => case.shape.callers as u64,
    };
    match case.trouble {
        Trouble::Revoke { .. } | Trouble::Fault(Fault::Socket(SocketFault::AuthInvalid), _) => {
            1 + in_flight
        }
        _ => 0,
    }
}

fn executions(counters: &Counters, index: usize) -> usize {
    counters.calls_of("light", "turn_on", &marker(index))
}

/// Returns the outcomes of all commands. Each run has this number of commands.
fn all_told(runs: &[Run], commands: usize) -> Vec<Told> {
    let each = |run: &Run| match run {
        Err(_) => vec![Told::NotSent; commands],
        Ok(replies) => {
            assert_eq!(replies.len(), commands);
            replies.iter().map(told).collect()
        }
    };
    runs.iter().flat_map(each).collect()
}

fn told(reply: &Reply) -> Told {
    match reply {
        Reply::Answered => Told::Answered,
        Reply::Refused => Told::Refused,
        Reply::Unknown(_) => Told::Unknown,
    }
}
