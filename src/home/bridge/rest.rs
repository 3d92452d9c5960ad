//! Requests to the home's REST API.

use std::time::Duration;

use super::Bridge;
use super::error::BridgeError;
use crate::base::clock::Deadline;
use crate::home::home_assistant::{Checkout, HomeError, RestCall, RestOutcome};

/// The timeout of the ping that checks the session after a 401.
const DOUBT_LIMIT: Duration = Duration::from_secs(2);

impl Bridge {
    /// Forwards a request. `Err` means that the request was not executed.
    ///
    /// The request is sent while an authenticated session is open. The session proves the token and explains a 401. If
    /// the session is alive, the token is valid and the token's user lacks a permission, so the 401 is the response. If
    /// the session is closed, the token was revoked.
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
            // Another token is stored now, and it needs its own session as proof.
            prover.session.discard(&connection);
            return Err(HomeError::Closed.into());
        }
        // The last check before the token is presented: a home that has revoked the token has closed the session.
        if !connection.is_open().await {
            return Err(HomeError::Closed.into());
        }
        let outcome = prover.session.rest(&token.access, call, deadline).await?;
        let doubt = deadline.limit(DOUBT_LIMIT, self.clock.now());
        match &outcome {
            // A slow ping response alone does not mean that the home closed the session, so the token may still be
            // valid.
            RestOutcome::Answered(answer)
                if answer.is_refusal()
                    && !connection.is_alive(doubt.duration).await
                    && connection.is_closed() =>
            {
                // Home Assistant checks the token first, so the request was not executed.
                prover.rejected(fingerprint);
                prover.session.discard(&connection);
                Err(HomeError::Rejected.into())
            }
            RestOutcome::Answered(_) | RestOutcome::Unknown(_) => Ok(outcome),
        }
    }
}
