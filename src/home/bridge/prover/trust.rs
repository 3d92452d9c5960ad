//! The token of REST requests: whether the home still accepts it, without a presentation.

use std::sync::Arc;

use super::Prover;
use crate::base::clock::Deadline;
use crate::base::secret::Fingerprint;
use crate::home::bridge::error::BridgeError;
use crate::home::home_assistant::{FRESH, SessionState};
use crate::home::token::Token;

impl Prover {
    /// Returns the current token for a REST request. The home has accepted the token, and since then nothing suggests
    /// that the home has revoked it.
    pub(in crate::home::bridge) async fn trusted_token(
        self: &Arc<Self>,
        deadline: Deadline,
    ) -> Result<Token, BridgeError> {
        let token = self.current_token(deadline).await?;
        if !self.is_trusted(token.fingerprint(), deadline).await {
            self.prove(&token, deadline).await?;
        }
        Ok(token)
    }

    /// Returns true if the open session vouches for the token, or if the home has just accepted the token and the
    /// session is still being opened.
    async fn is_trusted(&self, fingerprint: Fingerprint, deadline: Deadline) -> bool {
        if self.state.lock().doubted == Some(fingerprint) {
            if !self.session.confirms(fingerprint, deadline).await {
                return false;
            }
            self.trust_again(fingerprint);
        }
        let is_opening = matches!(
            self.session.state(),
            SessionState::Connecting | SessionState::Authenticating
        );
        let is_proven = self.is_proven(fingerprint, FRESH);
        let session = &self.session;
        (is_opening && is_proven) || session.vouches_for(fingerprint, is_proven, deadline).await
    }

    /// Records a 401 that is not explained yet, or a request without a response. Before the next request, the home must
    /// answer on the session or accept the token at `/api/config`.
    pub(in crate::home::bridge) fn doubt(&self, fingerprint: Fingerprint) {
        self.state.lock().doubted = Some(fingerprint);
    }

    /// Ends the doubt after an answer on the session.
    pub(in crate::home::bridge) fn trust_again(&self, fingerprint: Fingerprint) {
        let mut state = self.state.lock();
        state.doubted.take_if(|doubted| *doubted == fingerprint);
    }
}
