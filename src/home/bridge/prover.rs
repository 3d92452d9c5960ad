//! Presents tokens to the home and records every rejection. At most one presentation of a token runs at a time.
//!
//! A presentation runs in its own task. If a caller's deadline ends, the caller stops waiting and the task still
//! receives the response. If execution environments share verdicts, the presentation waits for its turn.

mod trust;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio_util::task::TaskTracker;

use super::error::BridgeError;
use crate::base::ambient::Ambient;
use crate::base::clock::{Clock, Deadline, Timestamp};
use crate::base::lock::Lock;
use crate::base::metrics::{Meter, Metric};
use crate::base::secret::{AccessToken, Fingerprint};
use crate::home::home_assistant::{Checkout, HomeError, Session, SessionState, Stage};
use crate::home::token::{Token, TokenError, TokenService};
use crate::home::verdict::{Standing, Verdict, Verdicts};

/// The least remaining time for starting a presentation. With less time, the response would come too late for the
/// caller.
const LEAST_TIME: Duration = Duration::from_millis(100);

type Presentation = Shared<BoxFuture<'static, Result<(), HomeError>>>;

/// Presents tokens to one home.
pub(super) struct Prover {
    pub(super) tokens: TokenService,
    pub(super) session: Session,
    verdicts: Option<Arc<Verdicts>>,
    clock: Arc<dyn Clock>,
    pub(super) meter: Meter,
    /// Tasks that no caller waits for, but that must finish before the execution environment is frozen.
    background: TaskTracker,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    /// The presentation in flight. All callers that need the same token validated wait for it.
    flight: Option<(Fingerprint, Presentation)>,
    /// The last token that the home accepted, with the time.
    proof: Option<(Fingerprint, Timestamp)>,
    /// The token in doubt: since the home last accepted the token, a 401 was not explained or a response was missing.
    doubted: Option<Fingerprint>,
}

impl Prover {
    pub(super) fn new(
        tokens: TokenService,
        session: Session,
        verdicts: Option<Verdicts>,
        ambient: Ambient,
    ) -> Self {
        Self {
            tokens,
            session,
            verdicts: verdicts.map(Arc::new),
            clock: ambient.clock,
            meter: ambient.meter,
            background: TaskTracker::new(),
            state: Lock::default(),
        }
    }

    /// Returns the current token after the home has accepted it.
    pub(super) async fn proven_token(
        self: &Arc<Self>,
        deadline: Deadline,
    ) -> Result<Arc<AccessToken>, BridgeError> {
        let token = self.current_token(deadline).await?;
        self.prove(&token, deadline).await?;
        Ok(token.access)
    }

    async fn current_token(&self, deadline: Deadline) -> Result<Token, BridgeError> {
        let token = self.in_time(deadline, self.tokens.current()).await;
        token.inspect_err(|error| {
            // The home rejected the token earlier, or the token has expired according to its own expiry time.
            if matches!(
                error,
                BridgeError::Token(TokenError::Rejected { .. } | TokenError::Expired { .. })
            ) {
                self.meter.record(Metric::TokenValid(false));
            }
        })
    }

    /// Presents a token to the home, or waits for the presentation in flight.
    pub(super) async fn prove(
        self: &Arc<Self>,
        token: &Token,
        deadline: Deadline,
    ) -> Result<(), BridgeError> {
        let remaining = deadline.remaining(self.clock.now());
        if remaining < LEAST_TIME {
            return Err(too_late(Stage::Validate));
        }
        tokio::time::timeout(remaining, self.present(token.clone()))
            .await
            .unwrap_or(Err(HomeError::DeadlineExceeded {
                stage: Stage::Validate,
            }))?;
        Ok(())
    }

    /// Returns a connection to run commands on.
    pub(super) async fn checkout(
        self: &Arc<Self>,
        deadline: Deadline,
    ) -> Result<Checkout, BridgeError> {
        let rejected = {
            // A weak reference avoids a cycle: the prover owns the session, and the session owns the connection.
            let prover = Arc::downgrade(self);
            move |fingerprint| {
                if let Some(prover) = prover.upgrade() {
                    prover.rejected(fingerprint);
                }
            }
        };
        let proven_token = self.proven_token(deadline);
        let is_rejected = |fingerprint| self.tokens.has_rejected(fingerprint);
        self.session
            .checkout(deadline, proven_token, is_rejected, rejected)
            .await
    }

    /// Opens the session in the background, unless it is known to be alive or is being opened.
    pub(super) fn open_session(self: &Arc<Self>, deadline: Deadline) {
        if self.session.is_fresh() || self.session.state() == SessionState::Connecting {
            return;
        }
        let prover = self.clone();
        self.background.spawn(async move {
            if let Err(error) = prover.checkout(deadline).await {
                tracing::debug!(error = %error, stage = "socket", "the session is not open yet");
            }
        });
    }

    /// Waits for the token service until the deadline.
    pub(super) async fn in_time<T>(
        &self,
        deadline: Deadline,
        read: impl Future<Output = Result<T, TokenError>>,
    ) -> Result<T, BridgeError> {
        let remaining = deadline.remaining(self.clock.now());
        match tokio::time::timeout(remaining, read).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(too_late(Stage::Token)),
        }
    }

    /// Returns true if the home accepted this token less than `age` ago.
    pub(super) fn is_proven(&self, fingerprint: Fingerprint, age: Duration) -> bool {
        let now = self.clock.now();
        self.state
            .lock()
            .proof
            .is_some_and(|(proven, at)| proven == fingerprint && now.since(at) < age)
    }

    /// Records that the home rejected a token on a WebSocket. Must be called within a tokio runtime.
    pub(super) fn rejected(&self, fingerprint: Fingerprint) {
        // The version must be read before the token is dropped.
        let version = self.tokens.version_of(fingerprint);
        self.note_rejection(fingerprint);
        if let Some(verdicts) = self.verdicts.clone() {
            self.background
                .spawn(async move { verdicts.share_rejection(fingerprint, version).await });
        }
    }

    /// Marks a token as rejected in the shared verdicts, before the home has rejected it.
    pub(super) async fn retire(&self, fingerprint: Fingerprint, version: i64) {
        if let Some(verdicts) = &self.verdicts {
            verdicts.share_rejection(fingerprint, Some(version)).await;
        }
    }

    fn note_rejection(&self, fingerprint: Fingerprint) {
        self.tokens.reject(fingerprint);
        self.meter.record(Metric::TokenValid(false));
        tracing::warn!(%fingerprint, category = "token", "the home rejected the token");
    }

    /// Forgets the last acceptance, so that the next token is read and validated again.
    pub(super) fn forget_proof(&self) {
        self.state.lock().proof = None;
    }

    /// Forgets the last acceptance if the session has ended since, because the home may have revoked the token.
    /// Discards the open connection if its token is past the hard TTL and the parameter holds another token now. If the
    /// parameter cannot be read, the open connection still proves its token.
    pub(super) async fn drop_outdated(&self, deadline: Deadline) {
        if self.session.has_ended() {
            self.forget_proof();
            self.session.doubt();
        }
        let Some(in_use) = self.session.usable_fingerprint() else {
            return;
        };
        let remaining = deadline.remaining(self.clock.now());
        if let Ok(Some(stored)) = tokio::time::timeout(remaining, self.tokens.renew_stale()).await
            && stored != in_use
        {
            self.session.discard_current();
        }
    }

    /// Waits until all background tasks have finished.
    pub(super) async fn settled(&self) {
        self.background.close();
        self.background.wait().await;
        self.background.reopen();
    }

    /// Drops the token, all connections and all results.
    pub(super) async fn clear(&self) {
        self.tokens.clear();
        self.session.close().await;
        *self.state.lock() = State::default();
    }

    /// Joins the presentation of this token that is in flight, or starts one.
    fn present(self: &Arc<Self>, token: Token) -> Presentation {
        let fingerprint = token.fingerprint();
        let mut state = self.state.lock();
        if let Some((_, flight)) = state
            .flight
            .as_ref()
            .filter(|(presented, flight)| *presented == fingerprint && flight.peek().is_none())
        {
            return flight.clone();
        }
        let prover = self.clone();
        let task = self
            .background
            .spawn(async move { prover.present_now(&token).await });
        let flight = async move {
            task.await.unwrap_or_else(|_| {
                Err(HomeError::Unreachable {
                    stage: Stage::Validate,
                    reason: "the token check was stopped".into(),
                    refused: false,
                })
            })
        }
        .boxed()
        .shared();
        state.flight = Some((fingerprint, flight.clone()));
        flight
    }

    /// Presents a token when it is this execution environment's turn.
    async fn present_now(&self, token: &Token) -> Result<(), HomeError> {
        let fingerprint = token.fingerprint();
        // Another presentation may have ended since the token was read from the cache.
        if self.tokens.is_rejected(token) {
            return Err(HomeError::Rejected);
        }
        let claim = match &self.verdicts {
            None => None,
            Some(verdicts) => match verdicts.await_turn(fingerprint, token.version).await {
                Standing::Present(claim) => Some((verdicts.clone(), claim)),
                Standing::Rejected => {
                    // The execution environment that received the rejection has recorded the metric.
                    tracing::info!(
                        %fingerprint, version = token.version, "the shared verdicts say that the token is rejected"
                    );
                    self.tokens.reject(fingerprint);
                    return Err(HomeError::Rejected);
                }
                Standing::Busy => {
                    return Err(HomeError::Timeout {
                        stage: Stage::Queue,
                    });
                }
            },
        };
        // The token may have been rejected on a WebSocket during the wait.
        let outcome = if self.tokens.is_rejected(token) {
            Err(HomeError::Rejected)
        } else {
            self.ask(token).await
        };
        let verdict = match outcome {
            Ok(()) => Verdict::Accepted,
            Err(HomeError::Rejected) => Verdict::Rejected,
            Err(_) => Verdict::Unknown,
        };
        if let Some((verdicts, claim)) = claim {
            let settled = async move { verdicts.settle(claim, verdict).await };
            // A rejection is shared before the caller gets it. Other verdicts are shared in the background.
            match verdict {
                Verdict::Rejected => settled.await,
                Verdict::Accepted | Verdict::Unknown => drop(self.background.spawn(settled)),
            }
        }
        outcome
    }

    async fn ask(&self, token: &Token) -> Result<(), HomeError> {
        let fingerprint = token.fingerprint();
        // The time before the request: a freeze may separate it from the response.
        let sent = self.clock.now();
        let verdict = self.session.validate(&token.access).await;
        if let Some(reachable) = is_reachable(&verdict) {
            self.meter.record(Metric::HomeReachable(reachable));
        }
        let version = verdict.inspect_err(|error| {
            if *error == HomeError::Rejected {
                self.note_rejection(fingerprint);
            }
        })?;
        self.meter.record(Metric::TokenValid(true));
        {
            let mut state = self.state.lock();
            state.proof = Some((fingerprint, sent));
            state.doubted = None;
        }
        tracing::info!(
            %fingerprint, version = token.version, home_version = version, stage = "validate",
            "token accepted"
        );
        Ok(())
    }
}

fn too_late(stage: Stage) -> BridgeError {
    HomeError::DeadlineExceeded { stage }.into()
}

/// Returns true if the home itself responded, also with a rejection. `None` if no request was sent to the home.
fn is_reachable(verdict: &Result<String, HomeError>) -> Option<bool> {
    match verdict {
        Ok(_)
        | Err(
            HomeError::Rejected
            | HomeError::Banned
            | HomeError::ProxyNotTrusted
            | HomeError::Starting
            | HomeError::MessageTooLarge { .. },
        ) => Some(true),
        Err(
            HomeError::EdgeBlocked { .. }
            | HomeError::NotHomeAssistant { .. }
            | HomeError::Tls { .. }
            | HomeError::Dns
            | HomeError::Timeout { .. }
            | HomeError::Unreachable { .. }
            | HomeError::Closed,
        ) => Some(false),
        Err(
            HomeError::SettingUnavailable { .. }
            | HomeError::SettingInvalid { .. }
            | HomeError::DeadlineExceeded { .. },
        ) => None,
    }
}
