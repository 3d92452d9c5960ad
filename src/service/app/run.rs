//! Commands that somebody asks for: may they, in which home, once.

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
use crate::service::access::{Caller, Door, Permitted, RestRequest, without_capabilities};
use crate::service::commands::CommandResults;
use crate::service::failure::{Failure, ProblemName};
use crate::service::idempotency::{Admission, IdempotencyKey, StoreError};
use crate::service::rate_limit::{BucketId, Exhausted};

/// What is kept of an invocation's time to record the outcome under an idempotency key.
const TIME_TO_RECORD: Duration = Duration::from_millis(1_000);

/// What somebody asks who may.
pub(crate) struct Asked<'a> {
    /// The commands.
    pub(crate) commands: &'a Permitted<Arc<[Command]>>,
    /// Under which the outcome is remembered, if the caller wants that.
    pub(crate) key: Option<&'a IdempotencyKey>,
    /// The home it is for.
    pub(crate) home: Option<&'a HomeName>,
    /// Who asks, if it is a caller.
    pub(crate) subject: Option<&'a str>,
    /// How much the reply can carry.
    pub(crate) room: Room,
}

impl Asked<'_> {
    fn intake(&self) -> Arc<Intake> {
        Intake::new(self.commands, self.room, self.key.is_some())
    }
}

impl App {
    /// Lets a caller in who asks for one thing.
    pub(crate) async fn admit(&self, token: Option<&str>) -> Result<Caller, Failure> {
        let caller = self.identify(token).await?;
        self.spend(&caller, 1).await?;
        Ok(caller)
    }

    /// Who has this token. What they ask has yet to be [counted](Self::spend).
    pub(crate) async fn identify(&self, token: Option<&str>) -> Result<Caller, Failure> {
        let meter = Meter::new(self.metrics.clone(), None);
        Ok(self.door.admit(token, &meter).await?)
    }

    /// Counts requests, or commands in one, towards what the caller's plan allows.
    pub(crate) async fn spend(&self, caller: &Caller, count: usize) -> Result<(), Failure> {
        // Where nobody proves who they are there is nobody to count for.
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

    /// The home that a caller's request is for: their tenant's, whatever the request says. `bound` is the tenant that
    /// Lambda has bound this sandbox to, if it has.
    pub(crate) fn home_of<'a>(
        &self,
        caller: &'a Caller,
        wanted: Option<&'a HomeName>,
        bound: Option<&str>,
    ) -> Result<Option<&'a HomeName>, Failure> {
        match (&caller.tenant, wanted) {
            // One home is everybody's; several are told apart by the tenant alone.
            _ if !self.homes.are_several() => Ok(wanted),
            (Some(tenant), Some(wanted)) if tenant != wanted => {
                let meter = Meter::new(self.metrics.clone(), None);
                meter.record(Metric::TenantViolation);
                Err(HomesError::OtherTenant.into())
            }
            (Some(tenant), _) => Ok(Some(tenant)),
            (None, _) if matches!(self.door, Door::Open) => Ok(wanted),
            (None, None) if bound.is_none() && self.homes.has_default() => Ok(None),
            // Else whoever invokes the function for a tenant would decide whose home it is.
            (None, _) => Err(Failure::NoTenant),
        }
    }

    /// True if callers prove who they are.
    pub(crate) fn knows_callers(&self) -> bool {
        matches!(self.door, Door::Verified(_))
    }

    /// Whose keys a caller's are: where nobody proves who they are, everybody's.
    pub(crate) fn subject_of<'a>(&self, caller: &'a Caller) -> Option<&'a str> {
        (!matches!(self.door, Door::Open)).then_some(&caller.subject)
    }

    /// Runs the commands of a request in its home, once for each idempotency key.
    pub(crate) async fn run(
        &self,
        asked: &Asked<'_>,
        invocation: &Invocation,
    ) -> Result<CommandResults, Failure> {
        self.at_home(asked.home, invocation, |home| async move {
            self.run_in(&home, asked, invocation).await
        })
        .await
    }

    /// Does `work` in a home; once more if it failed since what is stored of the home turned out to have changed. A
    /// failure must mean that nothing was sent.
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

    /// Passes a request on to a home's own REST API.
    pub(crate) async fn pass_on(
        &self,
        asked: &Permitted<RestRequest>,
        headers: HeaderMap,
        home: Option<&HomeName>,
        invocation: &Invocation,
    ) -> Result<RestAnswer, Failure> {
        let call = &asked.what().call(headers);
        let sent = self.at_home(home, invocation, |home| async move {
            Ok(home.bridge.rest(call, invocation.deadline).await?)
        });
        match sent.await? {
            RestOutcome::Answered(answer) => Ok(answer),
            RestOutcome::Unknown(error) => Err(Failure::OutcomeUnknown(error)),
        }
    }

    /// Has the session answer a request, if it can. `None` means that the request must go over REST.
    pub(crate) async fn read(
        &self,
        asked: &Permitted<RestRequest>,
        home: Option<&HomeName>,
        invocation: &Invocation,
    ) -> Result<Option<Option<JsonSlice>>, Failure> {
        let Some(command) = &asked.command() else {
            return Ok(None);
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
            // The home may have hung up just then. What only reads may be asked for twice.
            Some(Outcome::Unknown(HomeError::Closed)) => read().await?,
            outcome => outcome,
        };
        match outcome {
            Some(Outcome::Answered(Answer::Success(result))) => Ok(Some(result)),
            // What is too large for a message may still be sent as it comes.
            Some(
                Outcome::Answered(Answer::Failure(_))
                | Outcome::Unknown(HomeError::MessageTooLarge { .. }),
            )
            | None => Ok(None),
            // What only reads was not carried out in any sense that matters.
            Some(Outcome::Unknown(error)) => Err(Failure::Bridge(error.into())),
        }
    }

    /// The home that a request is for.
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
        asked: &Asked<'_>,
        invocation: &Invocation,
    ) -> Result<CommandResults, Failure> {
        let (deadline, request_id) = (invocation.deadline, invocation.id.as_str());
        let commands = asked.commands.what();
        let Some(key) = asked.key else {
            let intake = asked.intake();
            let outcomes = self.run_now(home, commands, &intake, deadline, request_id);
            return outcomes.await.map(CommandResults::new);
        };
        // One caller's key is not another's, in the same home or elsewhere.
        let scope = match asked.subject {
            None => Cow::Borrowed(&home.scope),
            Some(subject) => Cow::Owned(format!("{} {subject}", home.scope)),
        };
        let admission = self.idempotency.admit(&scope, key, commands);
        let ticket = match within(deadline.remaining(self.clock.now()), admission).await?? {
            Admission::Run(ticket) => ticket,
            Admission::Repeat(recorded) => {
                // Whoever asks now may see more or less than whoever asked then.
                let intake = asked.intake();
                let repeated =
                    CommandResults::repeated(&recorded, |place, answer| intake.take(place, answer));
                return repeated.map_err(|_| StoreError("a damaged record".into()).into());
            }
            Admission::TooLarge => return Err(Failure::ResultsNotKept),
            Admission::Mismatch => return Err(Failure::KeyMismatch),
            Admission::Unknown => return Ok(CommandResults::begun_before(commands.len())),
        };
        let intake = asked.intake();
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
        // What became of the commands is known either way; an unfinished record reads as `unknown`.
        if within(deadline.remaining(self.clock.now()), record)
            .await
            .is_err()
        {
            tracing::error!(
                request_id,
                category = "idempotency",
                "no time left to record an outcome"
            );
        }
        outcomes.map(CommandResults::new)
    }

    /// Runs commands, and keeps of their answers what `intake` keeps.
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

    /// Writes the one log line of commands that may or may not have been executed, and counts them.
    fn report_unknown(&self, outcomes: &[Outcome], request_id: &str) {
        let mut unknown = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Unknown(error) => Some(error),
            Outcome::Answered(_) => None,
        });
        let Some(error) = unknown.next() else { return };
        let count = 1 + u32::try_from(unknown.count()).unwrap_or(u32::MAX - 1);
        let category = ProblemName::CommandOutcomeUnknown.name();
        tracing::error!(request_id, category, stage = "command", error = %error, count, "not answered");
        self.metrics.record(Metric::CommandOutcomeUnknown(count));
    }
}
