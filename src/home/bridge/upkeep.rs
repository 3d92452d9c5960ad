//! Token upkeep after the response, when no caller waits.

use super::Bridge;
use super::error::BridgeError;
use crate::base::clock::Deadline;
use crate::base::secret::Fingerprint;

impl Bridge {
    /// Runs the work that callers do not wait for: shares verdicts, and reads a token again if its soft TTL has passed.
    /// If the parameter holds another token, that token is validated and taken into use.
    pub async fn after_answer(&self, deadline: Deadline) {
        let prover = &self.prover;
        // No token is in use before the first command. After a failure, the next command reads the token.
        if let Some(in_use) = prover.session.fingerprint()
            // A failed read has already been logged.
            && let Ok(Some(stored)) = self.stored(deadline).await
            && stored != in_use
        {
            prover.forget_proof();
            let renewed = self.with_connection(deadline, std::iter::empty(), |checkout| {
                self.renew(checkout.connection, deadline)
            });
            if let Err(error) = renewed.await {
                tracing::info!(error = %error, stage = "token", "the new token is not in use yet");
            }
        }
        // A token that was read here must not count as refreshed for the next event.
        self.note_fetches();
        let remaining = deadline.remaining(self.clock.now());
        // The next REST request needs an open connection.
        let rest = async { tokio::join!(prover.settled(), prover.session.refill()) };
        // Unfinished tasks continue when the execution environment is thawed.
        let _ = tokio::time::timeout(remaining, rest).await;
    }

    /// Reads the token again if it is due.
    pub(super) async fn refresh(&self, deadline: Deadline) -> Result<(), BridgeError> {
        let prover = &self.prover;
        prover.in_time(deadline, prover.tokens.refresh()).await
    }

    /// Returns the stored token, from the cache if the token was read recently.
    async fn stored(&self, deadline: Deadline) -> Result<Option<Fingerprint>, BridgeError> {
        let prover = &self.prover;
        let tokens = &prover.tokens;
        if tokens.keeps_nothing() {
            let token = prover.in_time(deadline, tokens.current()).await?;
            return Ok(Some(token.fingerprint()));
        }
        self.refresh(deadline).await?;
        Ok(tokens.cached())
    }
}
