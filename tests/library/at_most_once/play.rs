//! One case, played, and the laws it is held against.

use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::{Answer, HomeError, Outcome};
use latchkey_dev::home::{Counters, Fault, SocketFault};

use super::case::{Bytes, Case, Shape, Trouble};
use super::stage::{CaseStage, Maker, Run, marked, marker, unhurried};

/// What a caller was told of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    /// Answered, with success.
    Answered,
    /// Answered, with an error of the home's.
    Refused,
    /// Not sent.
    NotSent,
    /// Unknown.
    Unknown,
}

/// What became of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) told: Told,
    /// How often the home executed it.
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

/// Plays a case and says what became of its commands; `Err` says which laws were broken.
///
/// It must run on a runtime of one thread: then a home that has answered a later request has also read every byte that
/// had arrived before.
pub(crate) async fn play(case: Case, latchkey: Maker) -> Result<Vec<Fate>, String> {
    let mut stage = CaseStage::set(&case, latchkey).await;
    if case.shape.is_warm {
        stage.warm_up().await?;
    }
    let runs = stage.run(&case).await;
    let mut told = all_told(&runs, case.shape.batch);
    let commands = told.len();
    stage.end_trouble(&case.trouble).await;
    let afterwards = stage
        .send_until_in_time(|number| marked(commands + number))
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
    // A verdict on the token that does not come in its own time cannot be known of; that of latchkey's caller is no
    // excuse.
    let unheard = runs
        .iter()
        .chain(&afterwards)
        .filter(|run| is_timed_out(run));
    if counters.failed_logins > allowed_strikes(&case.trouble) + unheard.count() as u64 {
        broken.push(format!("{} failed logins", counters.failed_logins));
    }
    if reads > 1 && allowed_strikes(&case.trouble) == 0 {
        broken.push(format!("the token was read {reads} times"));
    }
    if !is_over(&case.trouble, told[told.len() - 1]) {
        broken.push(format!("and afterwards: {afterwards:?}"));
    }
    if broken.is_empty() {
        fates.truncate(commands);
        Ok(fates)
    } else {
        Err(broken.join("; "))
    }
}

/// Measures what an undisturbed exchange of this shape takes.
pub(crate) async fn measure(shape: Shape) -> Bytes {
    let case = Case {
        shape,
        trouble: Trouble::None,
        threads: 1,
        patience: None,
    };
    let stage = CaseStage::set(&case, unhurried).await;
    if shape.is_warm {
        stage.warm_up().await.unwrap();
    }
    let before = stage.relay.counters();
    let told = all_told(&stage.send_all(&case).await, shape.batch);
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

/// Whether what a later command was told shows that nothing is wrong any more.
fn is_over(trouble: &Trouble, told: Told) -> bool {
    match trouble {
        // There is no good token.
        Trouble::Revoke { is_replaced, .. } if !is_replaced => told == Told::NotSent,
        // The only token there is has been rejected, unless nothing met the fault.
        Trouble::Fault(Fault::Socket(SocketFault::AuthInvalid), _) => {
            matches!(told, Told::NotSent | Told::Answered)
        }
        _ => told == Told::Answered,
    }
}

fn is_timed_out(run: &Run) -> bool {
    matches!(run, Err(BridgeError::Home(HomeError::Timeout { .. })))
}

/// How many failed logins the home may have seen.
fn allowed_strikes(trouble: &Trouble) -> u64 {
    match trouble {
        Trouble::Revoke { .. } | Trouble::Fault(Fault::Socket(SocketFault::AuthInvalid), _) => 1,
        _ => 0,
    }
}

fn executions(counters: &Counters, index: usize) -> usize {
    counters.calls_of("light", "turn_on", &marker(index))
}

/// What all commands of some runs were told, each of which had so many.
fn all_told(runs: &[Run], batch: usize) -> Vec<Told> {
    let each = |run: &Run| match run {
        Err(_) => vec![Told::NotSent; batch],
        Ok(outcomes) => {
            assert_eq!(outcomes.len(), batch);
            outcomes.iter().map(told).collect()
        }
    };
    runs.iter().flat_map(each).collect()
}

fn told(outcome: &Outcome) -> Told {
    match outcome {
        Outcome::Answered(Answer::Success(_)) => Told::Answered,
        Outcome::Answered(Answer::Failure(_)) => Told::Refused,
        Outcome::Unknown(_) => Told::Unknown,
    }
}
