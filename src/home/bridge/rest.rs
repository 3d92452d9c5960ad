//! Requests to the home's own REST API.

use std::time::Duration;

use super::Bridge;
use super::error::BridgeError;
use crate::base::clock::Deadline;
use crate::home::home_assistant::{Checkout, HomeError, RestCall, RestOutcome};

/// How long the home is asked whether it is still there, after it refused something.
const DOUBT_LIMIT: Duration = Duration::from_secs(2);

impl Bridge {
    /// Passes a request on. `Err` means that it was not carried out.
    ///
    /// It goes out beside an authenticated session, which is proof of the token, and tells what a 401 means: if the
    /// session lives, the home refuses what the token's user may do, and that is the answer; if it is gone, so is the
    /// token.
    pub async fn rest(
        &self,
        call: &RestCall,
        deadline: Deadline,
    ) -> Result<RestOutcome, BridgeError> {
        let delays = self.admit()?;
        let outcome = self
            .with_connection(deadline, delays, |checkout| {
                self.ask(checkout, call, deadline)
            })
            .await;
        self.note_fetches();
        outcome
    }

    async fn ask(
        &self,
        checkout: Checkout,
        call: &RestCall,
        deadline: Deadline,
    ) -> Result<RestOutcome, BridgeError> {
        let prover = &self.prover;
        let connection = checkout.connection;
        self.ready(&connection, deadline).await?;
        let token = prover.in_time(deadline, prover.tokens.current()).await?;
        let fingerprint = token.fingerprint();
        if fingerprint != connection.fingerprint() {
            // Another one is stored by now: it is proven by a session of its own.
            prover.session.discard(&connection);
            return Err(HomeError::Closed.into());
        }
        // The last look before the token is presented: a home that has revoked it has hung up.
        if !connection.is_open().await {
            return Err(HomeError::Closed.into());
        }
        let outcome = prover.session.rest(&token.access, call, deadline).await?;
        let doubt = deadline.limit(DOUBT_LIMIT, self.clock.now());
        match &outcome {
            // A home that is slow to answer the ping has not hung up: that is no proof against the token.
            RestOutcome::Answered(answer)
                if answer.is_refusal()
                    && !connection.is_alive(doubt.duration).await
                    && connection.is_closed() =>
            {
                // Home Assistant looks at the token before anything else, so nothing was carried out.
                prover.rejected(fingerprint);
                prover.session.discard(&connection);
                Err(HomeError::Rejected.into())
            }
            RestOutcome::Answered(_) | RestOutcome::Unknown(_) => Ok(outcome),
        }
    }
}
