//! What a rotation did.

use std::time::Duration;

use crate::base::secret::Fingerprint;

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
