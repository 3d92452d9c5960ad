//! Authenticates callers, finds the home of a request, and runs its commands once per idempotency key.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::intake::{Intake, Room};
use super::{App, Invocation, within};
use crate::base::clock::Deadline;
use crate::base::home_name::HomeName;
use crate::base::metrics::{Meter, Metric};
use crate::home::home_assistant::{
    Answer, Command, HomeError, JsonSlice, Outcome, RestAnswer, RestOutcome,
};
use crate::home::homes::{Home, HomesError};
use crate::service::access::{Authenticator, Caller, Permitted, RestRequest, without_capabilities};
use crate::service::commands::CommandResults;
use crate::service::failure::{Failure, ProblemName};
use crate::service::idempotency::{Admission, IdempotencyKey, StoreError};
use crate::service::rate_limit::{BucketId, Exhausted};

/// The part of an invocation's time that is reserved for recording the outcome under an idempotency key.
const TIME_TO_RECORD: Duration = Duration::from_millis(1_000);

/// A command request whose caller is authorised.
pub(crate) struct AuthorisedCommands<'a> {
    pub(crate) commands: &'a Permitted<Arc<[Command]>>,
    /// The key under which the outcome is recorded. `None` if the request has no idempotency key.
    pub(crate) key: Option<&'a IdempotencyKey>,
    /// The home that runs the commands. `None` is the default home.
    pub(crate) home: Option<&'a HomeName>,
    /// The subject of the caller's token. `None` for a direct invocation and for an unauthenticated local caller.
    pub(crate) subject: Option<&'a str>,
    /// The space for results in the reply.
    pub(crate) room: Room,
}

/// The outcome of a read-only REST request that is tried on the session.
pub(crate) enum SessionRead {
    /// The session answered. `None` if the command has no result, such as `ping`.
    Answered(Option<JsonSlice>),
    /// The session cannot answer the request. Send it over REST.
    UseRest,
}

impl AuthorisedCommands<'_> {
    fn intake(&self) -> Arc<Intake> {
        Intake::new(self.commands, self.room, self.key.is_some())
    }
}

impl App {
    /// Authenticates the caller of a request and counts the request.
    pub(crate) async fn admit(&self, token: Option<&str>) -> Result<Caller, Failure> {
        let caller = self.identify(token).await?;
        self.spend(&caller, 1).await?;
        Ok(caller)
    }

    /// Returns the caller whose token this is. Does not [count](Self::spend) the request.
    pub(crate) async fn identify(&self, token: Option<&str>) -> Result<Caller, Failure> {
        let meter = Meter::new(self.metrics.clone(), None);
        Ok(self.authenticator.authenticate(token, &meter).await?)
    }

    /// Counts a request, or each command of a batch, against the rate limit of the caller's plan.
    pub(crate) async fn spend(&self, caller: &Caller, count: usize) -> Result<(), Failure> {
        // Unauthenticated callers share one subject, so they have no rate limit.
        let Some(subject) = self.subject_of(caller) else {
            return Ok(());
        };
        let tenant = caller.tenant.as_ref().map(HomeName::as_str);
        let bucket = BucketId::new(tenant, subject);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let taken = self.rates.take(&bucket, caller.plan.as_deref(), count);
        let taken = taken.await;
        taken.map_err(|Exhausted { wait }| Failure::RateLimited { wait })
    }

    /// Returns the home of a caller's request. If several homes are served, this is the home of the caller's tenant. A
    /// request for another home is an error. `bound` is the tenant to which Lambda has bound this execution
    /// environment, if any.
    pub(crate) fn home_of<'a>(
        &self,
        caller: &'a Caller,
        wanted: Option<&'a HomeName>,
        bound: Option<&str>,
    ) -> Result<Option<&'a HomeName>, Failure> {
        match (&caller.tenant, wanted) {
            // A single home serves all callers. Several homes are selected by the tenant only.
            _ if !self.homes.are_several() => Ok(wanted),
            (Some(tenant), Some(wanted)) if tenant != wanted => {
                let meter = Meter::new(self.metrics.clone(), None);
                meter.record(Metric::TenantViolation);
                Err(HomesError::OtherTenant.into())
            }
            (Some(tenant), _) => Ok(Some(tenant)),
            (None, _) if matches!(self.authenticator, Authenticator::AllowAll) => Ok(wanted),
            (None, None) if bound.is_none() && self.homes.has_default() => Ok(None),
            // A request or an invocation must not select a home for a caller without a tenant.
            (None, _) => Err(Failure::NoTenant),
        }
    }

    /// Returns true if callers are authenticated by a token.
    pub(crate) fn knows_callers(&self) -> bool {
        matches!(self.authenticator, Authenticator::Jwt(_))
    }

    /// Returns the subject to which a caller's idempotency keys and rate limit belong. `None` if callers are not
    /// authenticated: they share their keys.
    pub(crate) fn subject_of<'a>(&self, caller: &'a Caller) -> Option<&'a str> {
        (!matches!(self.authenticator, Authenticator::AllowAll)).then_some(&caller.subject)
    }

    /// Runs the commands of a request in its home, once per idempotency key.
    pub(crate) async fn run(
        &self,
        request: &AuthorisedCommands<'_>,
        invocation: &Invocation,
    ) -> Result<CommandResults, Failure> {
        self.at_home(request.home, invocation, |home| async move {
            self.run_in(&home, request, invocation).await
        })
        .await
    }

    /// Runs `work` in a home. If it fails and the home's stored settings have changed, repeats it once with the new
    /// settings. `work` may fail only if it sent nothing.
    async fn at_home<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        name: Option<&HomeName>,
        invocation: &Invocation,
        work: impl Fn(Arc<Home>) -> F,
    ) -> Result<T, Failure> {
        let home = self.find(name, invocation).await?;
        let done = work(home.clone()).await;
        if done.is_ok() || !home.is_outdated() {
            return done;
        }
        let home = self.find(name, invocation).await?;
        work(home).await
    }

    /// Sends a request to the home's own REST API.
    pub(crate) async fn pass_on(
        &self,
        request: &Permitted<RestRequest>,
        headers: HeaderMap,
        home: Option<&HomeName>,
        invocation: &Invocation,
    ) -> Result<RestAnswer, Failure> {
        let call = &request.what().call(headers);
        let sent = self.at_home(home, invocation, |home| async move {
            Ok(home.bridge.rest(call, invocation.deadline).await?)
        });
        match sent.await? {
            RestOutcome::Answered(answer) => Ok(answer),
            RestOutcome::Unknown(error) => Err(Failure::OutcomeUnknown(error)),
        }
    }

    /// Answers a read-only REST request from the session, if an equivalent command exists.
    pub(crate) async fn read(
        &self,
        request: &Permitted<RestRequest>,
        home: Option<&HomeName>,
        invocation: &Invocation,
    ) -> Result<SessionRead, Failure> {
        let Some(command) = &request.command() else {
            return Ok(SessionRead::UseRest);
        };
        let read = async || {
            let outcomes = self.at_home(home, invocation, |home| async move {
                let outcomes = home
                    .bridge
                    .run(std::slice::from_ref(command), invocation.deadline);
                Ok(outcomes.await?)
            });
            Ok::<_, Failure>(outcomes.await?.into_iter().next())
        };
        let outcome = match read().await? {
            // The home may have closed the connection at that moment. A read-only command can be sent twice.
            Some(Outcome::Unknown(HomeError::Closed)) => read().await?,
            outcome => outcome,
        };
        match outcome {
            Some(Outcome::Answered(Answer::Success(result))) => Ok(SessionRead::Answered(result)),
            // A result above the message limit can still be streamed over REST.
            Some(
                Outcome::Answered(Answer::Failure(_))
                | Outcome::Unknown(HomeError::MessageTooLarge { .. }),
            )
            | None => Ok(SessionRead::UseRest),
            // A read-only command changes nothing, so its outcome is a failure and not `unknown`.
            Some(Outcome::Unknown(error)) => Err(Failure::Bridge(error.into())),
        }
    }

    /// Opens the home of a request within the invocation's time.
    pub(super) async fn find(
        &self,
        name: Option<&HomeName>,
        invocation: &Invocation,
    ) -> Result<Arc<Home>, Failure> {
        let home = self.homes.find(name, invocation.tenant());
        Ok(within(invocation.deadline.remaining(self.clock.now()), home).await??)
    }

    async fn run_in(
        &self,
        home: &Home,
        request: &AuthorisedCommands<'_>,
        invocation: &Invocation,
    ) -> Result<CommandResults, Failure> {
        let (deadline, request_id) = (invocation.deadline, invocation.id.as_str());
        let commands = request.commands.what();
        let Some(key) = request.key else {
            let intake = request.intake();
            let outcomes = self.run_now(home, commands, &intake, deadline, request_id);
            return outcomes.await.map(CommandResults::new);
        };
        // Equal keys of different callers or homes are different keys.
        let scope = match request.subject {
            None => Cow::Borrowed(&home.scope),
            Some(subject) => Cow::Owned(format!("{} {subject}", home.scope)),
        };
        let admission = self.idempotency.admit(&scope, key, commands);
        let ticket = match within(deadline.remaining(self.clock.now()), admission).await?? {
            Admission::Run(ticket) => ticket,
            Admission::Repeat(recorded) => {
                // The caller's permissions may differ from the first request's, so the answer is redacted again.
                let intake = request.intake();
                let repeated =
                    CommandResults::repeated(&recorded, |place, answer| intake.take(place, answer));
                return repeated.map_err(|_| StoreError("the record is damaged".into()).into());
            }
            Admission::TooLarge => return Err(Failure::ResultsNotKept),
            Admission::Mismatch => return Err(Failure::KeyMismatch),
            Admission::Unknown => return Ok(CommandResults::begun_before(commands.len())),
        };
        let intake = request.intake();
        let outcomes = self
            .run_now(
                home,
                commands,
                &intake,
                deadline.before(TIME_TO_RECORD),
                request_id,
            )
            .await;
        let record = async {
            match &outcomes {
                Ok(_) if commands.iter().any(Command::may_yield_a_token) => {
                    self.idempotency.finish_without_results(ticket).await;
                }
                Ok(outcomes) => {
                    let whole = intake.whole(outcomes).map(CommandResults::new);
                    let results = whole.and_then(|whole| {
                        without_capabilities(&serde_json::to_string(&whole).ok()?)
                    });
                    match results {
                        Some(results) => self.idempotency.finish(ticket, results).await,
                        None => self.idempotency.finish_without_results(ticket).await,
                    }
                }
                Err(_) => self.idempotency.forget(ticket).await,
            }
        };
        // The reply has the real outcomes either way. A repeated request gets `unknown` for an unfinished record.
        if within(deadline.remaining(self.clock.now()), record)
            .await
            .is_err()
        {
            tracing::error!(
                request_id,
                category = "idempotency",
                "the outcome was not recorded: the invocation is out of time"
            );
        }
        outcomes.map(CommandResults::new)
    }

    /// Runs commands and filters their answers with `intake`.
    async fn run_now(
        &self,
        home: &Home,
        commands: &[Command],
        intake: &Arc<Intake>,
        deadline: Deadline,
        request_id: &str,
    ) -> Result<Vec<Outcome>, Failure> {
        let outcomes = home
            .bridge
            .run_sifted(commands, Some(&intake.sieve()), deadline)
            .await
            .map_err(Failure::Bridge)?;
        self.report_unknown(&outcomes, request_id);
        Ok(outcomes)
    }

    /// Counts the commands with an unknown outcome and writes one log line for all of them.
    fn report_unknown(&self, outcomes: &[Outcome], request_id: &str) {
        let mut unknown = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Unknown(error) => Some(error),
            Outcome::Answered(_) => None,
        });
        let Some(error) = unknown.next() else { return };
        let count = 1 + u32::try_from(unknown.count()).unwrap_or(u32::MAX - 1);
        let category = ProblemName::CommandOutcomeUnknown.name();
        tracing::error!(request_id, category, stage = "command", error = %error, count, "commands not answered");
        self.metrics.record(Metric::CommandOutcomeUnknown(count));
    }
}
