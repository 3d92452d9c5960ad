//! The address of a home and its limits.

use crate::base::config::{HomeAddress, HomeLimits};

/// The address of one home, and the limits for requests to it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: HomeAddress,
    pub(super) limits: HomeLimits,
}
