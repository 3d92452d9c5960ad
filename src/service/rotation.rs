//! Rotation: another token is minted by the home itself, proven, stored, and the old one revoked once nobody uses it.
//!
//! Nothing of a rotation is written down but its lease. What to do next follows from facts that outlive any crash: the
//! versions of the parameter and the tokens that the home knows. Each run looks at them, does one step, and looks
//! again.
//!
//! | the run died after | it leaves | the next run |
//! |---|---|---|
//! | minting | a token in no version of the parameter | revokes the token once no store can follow, and starts again |
//! | storing | two good tokens, the new one current | waits until nobody can use the old one, and revokes it |
//! | revoking | nothing to be done | finds that |
//!
//! A run holds a lease, which it renews before every step and without which it does nothing. What is decisive, storing
//! and revoking, is begun only while the lease lasts for longer than that takes, and after one more look at the
//! parameter.

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
pub use lease::{LeaseStore, MemoryLeases, SharedLeases};
use limits::{SHORT_WAIT, TIME_TO_END};
pub use report::{Progress, RotationReport};
pub use request::{Mode, RotationRequest};
use run::Run;
pub use terms::RotationTerms;

use crate::base::clock::Deadline;
use crate::base::metrics::Metric;
use crate::home::homes::Home;
use crate::home::source::TokenVersions;

/// Rotates tokens.
pub struct Rotation {
    terms: RotationTerms,
}

impl Rotation {
    /// Rotations on these terms.
    pub fn new(terms: RotationTerms) -> Self {
        Self { terms }
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
        let mut run = Run::new(&self.terms, home, versions, deadline.before(TIME_TO_END));
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
