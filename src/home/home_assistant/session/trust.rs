//! An open session shows that the home accepts its token: a home that revokes a token closes the token's connections.

use super::Session;
use crate::base::clock::Deadline;
use crate::base::secret::Fingerprint;
use crate::home::home_assistant::connection::{Connection, Status};
use crate::home::home_assistant::freshness::PING_TIMEOUT;

impl Session {
    /// Returns true if an open connection has this token. The home must have answered recently, on this connection or,
    /// if `is_proven`, elsewhere. Costs no round trip.
    pub async fn vouches_for(
        &self,
        fingerprint: Fingerprint,
        is_proven: bool,
        deadline: Deadline,
    ) -> bool {
        let Some(connection) = self.ready_with(fingerprint) else {
            return false;
        };
        let limit = deadline.limit(PING_TIMEOUT, self.clock.now());
        (is_proven || self.is_fresh()) && connection.is_open(limit.duration).await
    }

    /// Sends a ping on the open connection. Returns true if the connection has this token and the home answers.
    pub async fn confirms(&self, fingerprint: Fingerprint, deadline: Deadline) -> bool {
        let limit = deadline.limit(PING_TIMEOUT, self.clock.now());
        match self.ready_with(fingerprint) {
            Some(connection) => connection.is_alive(limit.duration).await,
            None => false,
        }
    }

    /// Returns the connection if the home has accepted this token on it.
    fn ready_with(&self, fingerprint: Fingerprint) -> Option<Connection> {
        self.current().filter(|connection| {
            connection.fingerprint() == fingerprint
                && matches!(connection.status(), Status::Ready { .. })
        })
    }
}
