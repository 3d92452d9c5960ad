//! The report of a rotation.

use std::time::Duration;

use crate::base::secret::Fingerprint;

/// The progress of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The new token is in use, and the old tokens are revoked.
    Rotated,
    /// The run had no work to do.
    Nothing,
    /// The new token is stored. The old token may still be in use, so it is not revoked yet.
    Draining {
        /// The time from which the old token can be revoked, since the Unix epoch.
        until: Duration,
    },
    /// Another run holds the lease.
    Busy {
        /// The time at which the other run's lease expires, since the Unix epoch.
        until: Duration,
    },
    /// The run was a dry run: it changed nothing.
    Planned,
}

/// The report of a run.
#[derive(Clone, Debug)]
pub struct RotationReport {
    /// The progress of the run.
    pub progress: Progress,
    /// A sentence for each step that the run did, or would do in a dry run.
    pub steps: Vec<String>,
    /// The current token and the version of the parameter that holds it.
    pub token: Option<(Fingerprint, Option<i64>)>,
    /// The number of tokens that the run revoked.
    pub revoked: u32,
}
