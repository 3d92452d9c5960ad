//! A home that is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::home_name::HomeName;
use crate::home::bridge::Bridge;
use crate::home::source::TokenVersions;

/// An open home with its bridge.
pub struct Home {
    /// The home's name; `None` for the default home.
    pub name: Option<HomeName>,
    /// A unique key of the home, for everything that is stored about the home.
    pub scope: String,
    /// The bridge that runs requests in the home.
    pub bridge: Bridge,
    /// The stored versions of the home's token, if the token's store keeps versions.
    pub versions: Option<Arc<dyn TokenVersions>>,
    /// Set to true when the stored settings, except the token, differ from the settings that the home was opened with.
    pub(super) outdated: Arc<AtomicBool>,
}

impl Home {
    /// Returns true if the stored settings differ from the settings that the home was opened with. The caller must then
    /// find the home again.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }
}
