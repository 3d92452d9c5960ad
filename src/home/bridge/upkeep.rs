//! What is done for the token when nobody waits.

use super::Bridge;
use super::error::BridgeError;
use crate::base::clock::Deadline;
use crate::base::secret::Fingerprint;

impl Bridge {
    /// Does what callers were not to wait for: verdicts are shared, a token whose soft TTL has passed is read again,
    /// and another one is proven and taken into use.
    pub async fn after_answer(&self, deadline: Deadline) {
        let prover = &self.prover;
        // Nothing is in use before the first command, and after a failure the next one reads what it needs.
        if let Some(in_use) = prover.session.fingerprint()
            // A failure was told when it happened.
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
        // What was read here was read for no event.
        self.note_fetches();
        let remaining = deadline.remaining(self.clock.now());
        // What is not done by then goes on when the sandbox is thawed.
        let _ = tokio::time::timeout(remaining, prover.settled()).await;
    }

    /// Reads the token again if it is due.
    pub(super) async fn refresh(&self, deadline: Deadline) -> Result<(), BridgeError> {
        let prover = &self.prover;
        prover.in_time(deadline, prover.tokens.refresh()).await
    }

    /// Which token is stored: as last read, if that was not long ago.
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
