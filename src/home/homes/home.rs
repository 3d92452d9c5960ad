//! One home that is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::home_name::HomeName;
use crate::home::bridge::Bridge;
use crate::home::source::TokenVersions;

/// One home.
pub struct Home {
    /// Its name, if it has one.
    pub name: Option<HomeName>,
    /// What tells it apart from all others, for whatever is remembered of it.
    pub scope: String,
    /// The way to it.
    pub bridge: Bridge,
    /// Where its token is kept with its versions, if it is.
    pub versions: Option<Arc<dyn TokenVersions>>,
    /// Set once what is stored of it, but for the token, is not what it was opened with.
    pub(super) outdated: Arc<AtomicBool>,
}

impl Home {
    /// Whether what is stored of it is not what it was opened with, so that it is to be found anew.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }
}
