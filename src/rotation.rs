//! Rotation: another token is minted by the home itself, proven, stored, and the old one revoked once nobody uses it.
//!
//! Nothing of a rotation is written down but its lease. What to do next follows from facts that outlive any crash: the
//! versions of the parameter and the tokens that the home knows. Each run looks at them, does one step, and looks
//! again.
//!
//! | the run died after | it leaves | the next run |
//! |---|---|---|
//! | minting | a token that no version of the parameter holds | revokes it, once it cannot come to be stored any more, and begins anew |
//! | storing | two good tokens, the new one current | waits until nobody can use the old one, and revokes it |
//! | revoking | nothing to be done | finds that |
//!
//! A run holds a lease, which it renews before every step and without which it does nothing. What is decisive, storing
//! and revoking, is begun only while the lease lasts for longer than that takes, and after one more look at the
//! parameter.

mod home;
mod lease;
mod mint;
mod plan;
mod request;
mod run;

use std::sync::Arc;
use std::time::Duration;

pub use lease::{LeaseStore, MemoryLeases, SharedLeases};
pub use request::{Mode, RotationRequest};
use run::Run;

use crate::bridge::BridgeError;
use crate::clock::{Clock, Deadline};
use crate::homes::Home;
use crate::metrics::Metric;
use crate::random::Random;
use crate::secret::Fingerprint;
use crate::source::{SourceError, TokenVersions};
use crate::table::TableError;

/// What no step takes longer than, beside the home's part in it: a call of Parameter Store, tried again and again.
const STORE_LIMIT: Duration = Duration::from_secs(5);

/// How long a minted token lasts.
const LIFESPAN_DAYS: u32 = 365;

/// How long a store takes at most, which is tried once.
const STORE_TIME: Duration = Duration::from_millis(2_500);

/// The longest that a run waits until the old token may be revoked, unless it was asked to: until then the old one is
/// the way back, and whoever pays for a function's time pays for its waiting.
const SHORT_WAIT: Duration = Duration::from_secs(60);

/// What is kept of a run's time to give the lease back and to answer.
const TIME_TO_END: Duration = Duration::from_secs(1);

/// Why a rotation went no further. Whatever it left behind, the next run puts right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The token lies in no parameter.
    #[error("the token comes from no parameter, so there is nowhere to store another")]
    NoParameter,
    /// The stored token does not say which it is.
    #[error(
        "the stored token does not say by what id the home knows it, so it is none that the home has made"
    )]
    NotIdentified,
    /// The token belongs to a user who does not own the home.
    #[error(
        "the token's user, {user}, is not the owner of the home, and only an owner's token may mint others"
    )]
    NotOwner {
        /// The user's name.
        user: String,
    },
    /// Home and parameter could not be asked with the stored token.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The parameter's versions could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The home refused a command, or its answer is not understood.
    #[error("the home refused {command} ({reason})")]
    Refused {
        /// Which one.
        command: &'static str,
        /// How.
        reason: String,
    },
    /// What became of a command is not known.
    #[error("what became of {command} is not known")]
    Unknown {
        /// Which one.
        command: &'static str,
    },
    /// The home does not accept the token it has just minted.
    #[error("the new token was not accepted ({0})")]
    Unproven(BridgeError),
    /// The new token was not stored.
    #[error("the new token was not stored ({0})")]
    NotStored(SourceError),
    /// Whether the new token was stored is not known.
    #[error("whether the new token was stored is not known ({0})")]
    StoredOrNot(SourceError),
    /// What was stored is not to be seen yet.
    #[error("the parameter does not show yet what this rotation has stored in it")]
    Behind,
    /// Somebody else stored a token meanwhile.
    #[error("somebody else stored a token meanwhile")]
    Overtaken,
    /// Another run has the lease now.
    #[error("another rotation has begun meanwhile")]
    LeaseLost,
    /// The lease could not be had.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No time is left.
    #[error("no time is left for the next step")]
    OutOfTime,
}

/// How far a run came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A new token is in use and no other is left.
    Rotated,
    /// There was nothing to do.
    Nothing,
    /// All is done but to revoke the old token, which may be in use until then (since the Unix epoch).
    Draining {
        /// Until when.
        until: Duration,
    },
    /// Another run has the lease until then.
    Busy {
        /// Until when.
        until: Duration,
    },
    /// Nothing was done, only planned.
    Planned,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct RotationReport {
    /// How far it came.
    pub progress: Progress,
    /// What it did, or would do, in words.
    pub steps: Vec<String>,
    /// The token that is current now, and its version.
    pub token: Option<(Fingerprint, Option<i64>)>,
    /// How many tokens it revoked.
    pub revoked: u32,
}

/// Rotates tokens.
pub struct Rotation {
    leases: Box<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
    /// For how long after it was replaced a token may be in use somewhere.
    drain: Duration,
    /// How long the home's part in a step takes at most.
    step_limit: Duration,
    random: Random,
}

impl Rotation {
    /// Rotations that hold `leases`. A replaced token may be in use for `drain`; the home's part in a step takes no
    /// longer than `step_limit`.
    pub fn new(
        leases: Box<dyn LeaseStore>,
        clock: Arc<dyn Clock>,
        drain: Duration,
        step_limit: Duration,
        random: Random,
    ) -> Self {
        Self {
            leases,
            clock,
            drain,
            step_limit,
            random,
        }
    }

    /// Runs a rotation of one home's token, as far as it comes before `deadline`. With `wait` it waits for the old
    /// token to fall out of use, however long that takes, if there is time.
    pub async fn run(
        &self,
        home: &Home,
        versions: &dyn TokenVersions,
        mode: Mode,
        wait: bool,
        deadline: Deadline,
    ) -> Result<RotationReport, RotationError> {
        let mut run = Run::new(self, home, versions, deadline.before(TIME_TO_END));
        if mode == Mode::DryRun {
            return run.plan().await;
        }
        let longest_wait = if wait { Duration::MAX } else { SHORT_WAIT };
        let outcome = run.go(mode == Mode::Rotate, longest_wait).await;
        // A store of which nothing is known may be under way: nobody shall begin before it has ended.
        if !matches!(outcome, Err(RotationError::StoredOrNot(_))) {
            run.end().await;
        }
        match &outcome {
            Ok(report) if report.progress == Progress::Rotated => {
                home.bridge.meter().record(Metric::RotationSucceeded);
            }
            Ok(_) => {}
            Err(_) => home.bridge.meter().record(Metric::RotationFailed),
        }
        outcome
    }
}
