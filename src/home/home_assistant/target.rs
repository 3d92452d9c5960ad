//! Where a home is, and how long to wait for it.

use crate::base::config::{HomeAddress, HomeLimits};

/// One home and the limits on talking to it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: HomeAddress,
    pub(super) limits: HomeLimits,
}
