//! What is done for the token when nobody waits.

use super::{Bridge, BridgeError};
use crate::clock::Deadline;
use crate::home_assistant::{HomeError, Stage};
use crate::secret::Fingerprint;
use crate::token::TokenError;

impl Bridge {
    /// Does what callers were not to wait for: verdicts are shared, a token whose soft TTL has passed is read again, and
    /// another one is proven and taken into use.
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
        self.in_time(deadline, self.prover.tokens.refresh()).await
    }

    /// Which token is stored: as last read, if that was not long ago.
    async fn stored(&self, deadline: Deadline) -> Result<Option<Fingerprint>, BridgeError> {
        let tokens = &self.prover.tokens;
        if tokens.keeps_nothing() {
            let token = self.in_time(deadline, tokens.current()).await?;
            return Ok(Some(token.fingerprint()));
        }
        self.refresh(deadline).await?;
        Ok(tokens.cached())
    }

    /// Waits for the token service, but not beyond the deadline.
    async fn in_time<T>(
        &self,
        deadline: Deadline,
        read: impl Future<Output = Result<T, TokenError>>,
    ) -> Result<T, BridgeError> {
        let remaining = deadline.remaining(self.clock.now());
        match tokio::time::timeout(remaining, read).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(HomeError::DeadlineExceeded {
                stage: Stage::Token,
            }
            .into()),
        }
    }
}
