//! Requests to the home's REST API.
//!
//! A request proves its own token: the home answers a bad token with 401, which counts as one failed login like a
//! rejection at `/api/config`. So a request waits for neither the session nor `/api/config` while an open session
//! vouches for the token. The same applies if the home has just accepted the token and the session is being opened.
//!
//! A 401 has two meanings: the token was revoked, or the token's user lacks a permission. The session tells them apart,
//! because a home that revokes a token closes the token's connections.

use std::time::Duration;

use super::error::BridgeError;
use super::{Bridge, Failure};
use crate::base::clock::Deadline;
use crate::home::home_assistant::{
    Connection, HomeError, RestCall, RestOutcome, SessionState, Status,
};
use crate::home::token::Token;

/// The timeout of the ping that checks the session after a 401.
const DOUBT_LIMIT: Duration = Duration::from_secs(2);

impl Bridge {
    /// Forwards a request. `Err` means that the request was not executed.
    pub async fn rest(
        &self,
        call: &RestCall,
        deadline: Deadline,
    ) -> Result<RestOutcome, BridgeError> {
        let delays = self.admit()?;
        let outcome = self
            .with_retries(deadline, delays, || async {
                let asked = self.ask(call, deadline).await;
                // A dead connection was already replaced, so a repetition has the usual delays.
                asked.map_err(|error| Failure {
                    error,
                    reused: false,
                })
            })
            .await;
        self.note_fetches();
        outcome
    }

    async fn ask(&self, call: &RestCall, deadline: Deadline) -> Result<RestOutcome, BridgeError> {
        let prover = &self.prover;
        prover.drop_outdated(deadline).await;
        // The next command needs the session. The session also shows the meaning of a 401.
        prover.open_session(deadline);
        let token = prover.trusted_token(deadline).await?;
        // A session that has already ended cannot explain a 401.
        let session = prover.session.current();
        let session = session.filter(|session| !session.is_closed());
        if let Some(outdated) = session
            .as_ref()
            .filter(|session| session.fingerprint() != token.fingerprint())
        {
            // Another token is stored now, and it needs a session of its own.
            prover.session.discard(outdated);
        }
        let outcome = prover.session.rest(&token.access, call, deadline).await;
        let is_in_doubt = match &outcome {
            Ok(RestOutcome::Answered(answer)) => answer.is_refusal(),
            Ok(RestOutcome::Unknown(_)) | Err(_) => true,
        };
        if is_in_doubt {
            // A missing response may have been a 401. Later requests wait until the 401 is explained, so that a revoked
            // token does not cost a failed login for each request.
            prover.doubt(token.fingerprint());
        }
        match outcome? {
            RestOutcome::Answered(answer)
                if answer.is_refusal() && !self.is_accepted(&token, session, deadline).await =>
            {
                // Home Assistant checks the token first, so the request was not executed.
                Err(HomeError::Rejected.into())
            }
            outcome => Ok(outcome),
        }
    }

    /// Returns false if a 401 means that the home has rejected the token. `session` is the session at the time of the
    /// request.
    async fn is_accepted(
        &self,
        token: &Token,
        session: Option<Connection>,
        deadline: Deadline,
    ) -> bool {
        let prover = &self.prover;
        let fingerprint = token.fingerprint();
        let session = session.or_else(|| prover.session.current());
        let Some(session) = session.filter(|session| session.fingerprint() == fingerprint) else {
            return self.passes_a_check(token, deadline).await;
        };
        match self.ready(&session, deadline).await {
            Ok(()) => {}
            // The connection reports a rejected `auth` itself.
            Err(error) if error == HomeError::Rejected.into() => return false,
            Err(_) if session.is_closed() => return self.passes_a_check(token, deadline).await,
            Err(_) => return true,
        }
        let doubt = deadline.limit(DOUBT_LIMIT, self.clock.now());
        if session.is_alive(doubt.duration).await {
            prover.trust_again(fingerprint);
            return true;
        }
        if !session.is_closed() {
            // A slow ping response alone does not mean that the home closed the session, so the token may still be
            // valid. The token stays in doubt.
            return true;
        }
        prover.session.discard(&session);
        if session.status() != Status::Closed(HomeError::Closed) {
            // latchkey itself closed the session, for example after a message that was too large.
            return self.passes_a_check(token, deadline).await;
        }
        // The home closed the session, so another presentation would be one more failed login.
        prover.rejected(fingerprint);
        false
    }

    /// Returns false if the home rejects the token on the session that is being opened. Without such a session, only
    /// `/api/config` can tell.
    async fn passes_a_check(&self, token: &Token, deadline: Deadline) -> bool {
        let rejected = BridgeError::from(HomeError::Rejected);
        if self.prover.session.state() == SessionState::Connecting {
            // The session presents the token anyway, and each presentation of a revoked token is a failed login.
            match self.opened(token, deadline).await {
                Ok(true) => return true,
                Err(error) if error == rejected => return false,
                Ok(false) | Err(_) => {}
            }
        }
        self.prover.forget_proof();
        self.prover.prove(token, deadline).await != Err(rejected)
    }

    /// Waits until the session is authenticated. Returns true if the session has this token.
    async fn opened(&self, token: &Token, deadline: Deadline) -> Result<bool, BridgeError> {
        let connection = self.prover.checkout(deadline).await?.connection;
        self.ready(&connection, deadline).await?;
        Ok(connection.fingerprint() == token.fingerprint())
    }
}
