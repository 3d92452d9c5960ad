//! The version of Home Assistant, which clients of its protocol ask for.

use std::time::Duration;

use super::{App, Invocation};
use crate::base::home_name::HomeName;

/// The version that a client gets while the home's own version is not known. Clients use no feature that depends on a
/// version.
const UNKNOWN: &str = "0.0.0";

/// The longest time for which a client waits for the version of a home that is not connected.
const LIMIT: Duration = Duration::from_secs(3);

impl App {
    /// Returns the version of the only home, if a session has shown it before.
    pub(crate) fn known_version(&self) -> String {
        // A version shows which tenant's home is open.
        if self.homes.are_several() {
            return UNKNOWN.to_owned();
        }
        let mut open = self.homes.open_ones().into_iter();
        let only = open.next().filter(|_| open.next().is_none());
        let version = only.and_then(|home| home.bridge.health().session.home_version);
        version.unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// Returns the version of a tenant's home. Opens the session if it has not been open yet, because the client's
    /// first command needs it.
    pub(crate) async fn home_version(
        &self,
        tenant: Option<&HomeName>,
        invocation: &Invocation,
    ) -> String {
        let name = tenant.filter(|_| self.homes.are_several());
        let limited = self.at_most(LIMIT, invocation);
        let Ok(home) = self.find(name, &limited).await else {
            return UNKNOWN.to_owned();
        };
        if let Some(version) = home.bridge.health().session.home_version {
            return version;
        }
        home.bridge.warm_up(limited.deadline).await;
        let version = home.bridge.health().session.home_version;
        version.unwrap_or_else(|| UNKNOWN.to_owned())
    }
}
