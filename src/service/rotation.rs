//! Token rotation: the home mints a new token, latchkey proves it and stores it, and later revokes the old token.
//!
//! A rotation stores no state except its lease. The next step follows from facts that survive a crash: the versions of
//! the parameter and the tokens that the home knows. Each run reads these facts, does one step, and reads them again.
//!
//! | a run crashed after | state | the next run |
//! |---|---|---|
//! | minting | a token that no version holds | revokes the token once it can no longer be stored, and starts again |
//! | storing | two valid tokens; the new token is current | waits until the old token is out of use, and revokes it |
//! | revoking | complete | reports that the rotation is complete |
//!
//! A run holds a lease and renews it before every step. Without the lease it does nothing. Storing and revoking are the
//! critical steps. Before each of them, a run reads the parameter once more. It begins the step only while the lease
//! lasts longer than the step.

mod error;
mod home;
mod lease;
mod limits;
mod mint;
mod plan;
mod report;
mod request;
mod run;
mod terms;

use std::time::Duration;

pub use error::RotationError;
pub use lease::{Lease, LeaseStore, MemoryLeases, Renewal, SharedLeases};
use limits::{SHORT_WAIT, TIME_TO_END};
pub use report::{Progress, RotationReport};
pub use request::{Mode, RotationRequest};
use run::Run;
pub use terms::RotationTerms;

use crate::base::clock::Deadline;
use crate::base::metrics::Metric;
use crate::home::homes::Home;
use crate::home::source::TokenVersions;

/// Rotates the tokens of homes.
pub struct Rotation {
    terms: RotationTerms,
}

impl Rotation {
    /// Creates an instance with these terms.
    pub fn new(terms: RotationTerms) -> Self {
        Self { terms }
    }

    /// Rotates the token of one home, as far as possible before `deadline`. If `wait` is true, it waits until the old
    /// token is out of use, provided that this is before `deadline`. Otherwise it waits for a short time only.
    pub async fn run(
        &self,
        home: &Home,
        versions: &dyn TokenVersions,
        mode: Mode,
        wait: bool,
        deadline: Deadline,
    ) -> Result<RotationReport, RotationError> {
        let mut run = Run::new(&self.terms, home, versions, deadline.before(TIME_TO_END));
        if mode == Mode::DryRun {
            return run.plan().await;
        }
        let longest_wait = if wait { Duration::MAX } else { SHORT_WAIT };
        let outcome = run.go(mode == Mode::Rotate, longest_wait).await;
        // If the outcome of the store is unknown, the store may be in flight. The lease stays held until it expires, so
        // that no other run begins before then.
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
