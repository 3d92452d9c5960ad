//! Rotations that are killed: at every renewal of the lease, which precedes each step, and while the token is stored.
//!
//! The killed run is a process of its own and uses the machine's clock. Each later run uses a clock that the test sets.
//! So the test does not wait until the lease of the killed run ends, nor until the old token falls out of use.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock as _, ManualClock, SystemClock};
use latchkey_dev::stack::Fault;
use serde_json::Value;
use testkit::Sandbox;
use testkit::canary::{Canary, Captured};

use super::operator::Run;
use super::{SHORT, Stage, WAIT_LIMIT, state};

const PUT_ITEM: &str = "dynamodb:PutItem";
const PUT_PARAMETER: &str = "ssm:PutParameter";

/// The event that `latchkey rotate` handles.
const ROTATE: &str = r#"{"source":"rotate-token","wait":true}"#;

/// The number, counted from 0, of the first renewal after the token was stored. Number 0 takes the lease; 1, 2 and 3
/// precede minting, proving and storing.
const STORED: u32 = 4;

/// The number of the first renewal after the drain. The drain is longer than a third of a lease, so it has two
/// renewals.
const DRAINED: u32 = STORED + 3;

/// A time that is longer than a lease, longer than the drain, and long enough that a minted token can no longer be
/// stored.
const LATER: Duration = Duration::from_secs(3_600);

/// A limit that is shorter than a lease, so that a run with this limit does not wait for the lease.
const BRIEF: Duration = Duration::from_secs(6);

/// A kill of a rotation in a certain call.
struct Crash {
    name: String,
    action: &'static str,
    fault: Fault,
    /// True if the killed run holds the lease.
    is_leased: bool,
    /// A time before the killed run began, since the Unix epoch.
    before: Duration,
    /// The table of the killed run and of the runs after it. Each crash has its own table. A run whose clock is ahead
    /// of the machine's clock writes rows that would affect the next killed run.
    table: String,
}

impl Crash {
    fn new(name: String, action: &'static str, fault: Fault, is_leased: bool) -> Self {
        Self {
            name,
            action,
            fault,
            is_leased,
            before: now(),
            table: format!("latchkey-{:016x}", fastrand::u64(..)),
        }
    }

    fn at_renewal(number: u32) -> Self {
        let fault = Fault::new(PUT_ITEM, "hang").containing("rotation#");
        let name = format!("killed at renewal {number}");
        Self::new(name, PUT_ITEM, fault.skip(number), number > 0)
    }

    fn while_storing(is_stored: bool) -> Self {
        let fault = Fault::new(PUT_PARAMETER, "hang");
        let fault = if is_stored { fault.after() } else { fault };
        let name = format!("killed while storing, stored: {is_stored}");
        Self::new(name, PUT_PARAMETER, fault, true)
    }

    /// Starts a rotation and kills it in its call. Returns false if the rotation ended before that call.
    ///
    /// Asserts that the stored token is good.
    async fn kill_rotation(&self, stage: &Stage) -> bool {
        stage.aws.create_table(&self.table).await.unwrap();
        stage.aws.inject(&self.fault).await.unwrap();
        let mut doomed = Run::start(stage, &["rotate"], &[("TABLE_NAME", &self.table)]);
        let hangs = tokio::select! {
            hangs = stage.aws.until_hanging(self.action, WAIT_LIMIT) => {
                hangs.unwrap();
                true
            }
            () = doomed.until_ended() => false,
        };
        if hangs {
            doomed.kill().await;
        } else {
            let ended = doomed.end().await;
            assert!(ended.succeeded, "{}: {}", self.name, ended.printed);
        }
        stage.aws.clear_faults().await.unwrap();
        let stored = stage.stored().await;
        let is_good = stage.home.accepts(&stored).await.unwrap();
        assert!(is_good, "{}", self.name);
        hangs
    }

    /// Runs a rotation with a clock that stands at `now`, since the Unix epoch.
    async fn rotate_at(&self, stage: &Stage, now: Duration, limit: Duration) -> Value {
        let sandbox = Sandbox::builder()
            .aws(&stage.aws)
            .envs([
                ("HA_URL", stage.home.url()),
                ("TABLE_NAME", &self.table),
                ("CALLER_AUTH", "none"),
                ("METRICS", "off"),
            ])
            .envs(SHORT)
            .clock(Arc::new(ManualClock::at(now)))
            .any_seed()
            .start()
            .await;
        sandbox.handle_within(limit, ROTATE).await
    }

    /// Checks that no other run begins while the lease of the killed run lasts, and that the next run after that ends
    /// with one good token.
    async fn recover(&self, stage: &Stage) {
        let name = &self.name;
        let mut canary = Canary::new(&stage.stored().await);
        let (captured, _guard) = Captured::start();
        let mut answers = Vec::new();
        if self.is_leased {
            let (history, tokens) = (stage.history().await, stage.tokens().await);
            let busy = self.rotate_at(stage, self.before, BRIEF).await;
            assert_eq!(state(&busy), "busy", "{name}: {busy}");
            assert_eq!(stage.history().await, history, "{name}");
            assert_eq!(stage.tokens().await, tokens, "{name}");
            answers.push(busy);
        }
        let ended = self.rotate_at(stage, now() + LATER, LATER).await;
        assert_eq!(ended["statusCode"], 200, "{name}: {ended}");
        assert_eq!(state(&ended), "rotated", "{name}: {ended}");
        answers.push(ended);
        canary.watch(&stage.stored().await);
        canary.search(name, &captured.text());
        for answer in answers {
            canary.search(name, &answer.to_string());
        }
        stage.assert_settled().await;
    }
}

/// The time of the machine, since the Unix epoch.
fn now() -> Duration {
    SystemClock::new().now().unix
}

async fn kill_before_storing(stage: &Stage) {
    for number in 0..STORED {
        let (before, known) = (stage.stored().await, stage.tokens().await.len());
        let crash = Crash::at_renewal(number);
        assert!(crash.kill_rotation(stage).await, "{number}");
        assert_eq!(stage.stored().await, before, "{number}");
        let orphans = usize::from(number >= 2);
        assert_eq!(stage.tokens().await.len(), known + orphans, "{number}");
        crash.recover(stage).await;
        assert_ne!(stage.stored().await, before, "{number}");
    }
}

async fn kill_while_storing(stage: &Stage) {
    for is_stored in [false, true] {
        let before = stage.stored().await;
        let crash = Crash::while_storing(is_stored);
        assert!(crash.kill_rotation(stage).await, "{is_stored}");
        assert_eq!(stage.stored().await != before, is_stored);
        assert_eq!(stage.tokens().await.len(), 2, "{is_stored}");
        let stored = stage.stored().await;
        crash.recover(stage).await;
        // If the token was stored, the next run finishes this rotation and does not begin another.
        assert_eq!(stage.stored().await == stored, is_stored);
    }
}

async fn kill_while_draining(stage: &Stage) {
    // These renewals are before the wait, during it and at its end.
    for number in STORED..DRAINED {
        assert!(kill_after_storing(stage, number, 2).await, "{number}");
    }
}

async fn kill_after_draining(stage: &Stage) {
    // The old token is out of use as soon as it is replaced, so the killed run does not wait.
    stage.aws.date_versions_back(LATER).await.unwrap();
    // The first two renewals precede the revocation, the third follows it.
    for (number, known) in (STORED..).zip([2, 2, 1]) {
        assert!(kill_after_storing(stage, number, known).await, "{number}");
    }
    assert!(!kill_after_storing(stage, STORED + 3, 1).await);
    stage.assert_settled().await;
}

/// Kills a rotation at a renewal that comes after the new token is stored, when the home knows this many tokens.
/// Returns false if the run ended before this renewal.
async fn kill_after_storing(stage: &Stage, number: u32, known: usize) -> bool {
    let before = stage.stored().await;
    let crash = Crash::at_renewal(number);
    let has_happened = crash.kill_rotation(stage).await;
    assert_ne!(stage.stored().await, before, "{number}");
    assert_eq!(stage.tokens().await.len(), known, "{number}");
    if has_happened {
        crash.recover(stage).await;
    }
    has_happened
}

// One test, so that Home Assistant starts once.
#[tokio::test]
async fn next_run_completes_a_rotation_killed_at_any_step() {
    let stage = Stage::start().await;
    kill_before_storing(&stage).await;
    kill_while_storing(&stage).await;
    kill_while_draining(&stage).await;
    kill_after_draining(&stage).await;
    stage.stop().await;
}
