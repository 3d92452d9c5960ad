//! The application: payload in, reply out. The only place where triggers meet what serves them.

mod alexa;
mod run;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lambda_http::{Context, LambdaEvent};
use serde::{Serialize, Serializer};

use crate::access::{Door, Permit};
use crate::bridge::{Health, Status};
use crate::clock::{Clock, Deadline, Timestamp};
use crate::commands::CommandsRequest;
use crate::home_assistant::{HomeError, Stage};
use crate::homes::Homes;
use crate::http;
use crate::idempotency::Idempotency;
use crate::json::json_bytes;
use crate::metrics::Metrics;
use crate::reply::{AlexaReply, CommandsReply, Failure, KeepWarmReply, Problem, RotationReply};
use crate::rotation::{Rotation, RotationRequest};
use crate::source::HomeName;
use crate::trigger::{Trigger, TriggerError, changed_parameter};

pub(crate) use run::Asked;

/// What is kept of an invocation's time to write the answer.
const TIME_TO_ANSWER: Duration = Duration::from_millis(250);

/// How many homes are seen to at once.
const AT_ONCE: usize = 8;

/// How long tokens may take to be read again after an answer, however much time is left.
const REFRESH_LIMIT: Duration = Duration::from_secs(5);

/// How long metrics may take to be delivered, however much time is left.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// How long metrics may take to be delivered when the sandbox is taken down: Lambda grants half a second in all.
const FLUSH_LIMIT_AT_SHUTDOWN: Duration = Duration::from_millis(400);

/// Lambda refuses replies above 6,291,556 bytes; a few are left for what goes around an HTTP body.
pub(crate) const MAX_REPLY_BYTES: usize = 6_291_556 - 4_096;

/// Everything that serves invocations.
pub struct App {
    homes: Homes,
    rotation: Rotation,
    idempotency: Idempotency,
    door: Door,
    pub(crate) clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// An answer, ready to be serialised. `H` is the reply to an HTTP event in the form its sender expects.
#[derive(Debug)]
pub enum Reply<H> {
    /// To a keep-warm event.
    KeepWarm(KeepWarmReply),
    /// To direct commands.
    Commands(CommandsReply),
    /// To a directive of Alexa's.
    Alexa(AlexaReply),
    /// To a demand to rotate.
    Rotation(RotationReply),
    /// To an HTTP event.
    Http(H),
    /// A failure, to whoever is not an HTTP client.
    Problem {
        /// What went wrong.
        problem: Problem,
        /// In which invocation.
        request_id: String,
    },
}

impl<H: Serialize> Serialize for Reply<H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::KeepWarm(reply) => reply.serialize(serializer),
            Self::Commands(reply) => reply.serialize(serializer),
            Self::Rotation(reply) => reply.serialize(serializer),
            Self::Alexa(reply) => reply.serialize(serializer),
            Self::Http(reply) => reply.serialize(serializer),
            Self::Problem {
                problem,
                request_id,
            } => problem.document(request_id, true).serialize(serializer),
        }
    }
}

impl App {
    /// An application over the homes it serves.
    pub fn new(
        homes: Homes,
        rotation: Rotation,
        idempotency: Idempotency,
        door: Door,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            homes,
            rotation,
            idempotency,
            door,
            clock,
            metrics,
        }
    }

    /// Begins what the first invocation will need: token, verdict, session. To be run while nobody waits.
    pub async fn warm_up(&self, limit: Duration) {
        let deadline = Deadline::at(self.clock.now().after(limit));
        // Whatever goes wrong here is met again, and reported, by the first invocation.
        for home in self.homes.open_ones() {
            home.bridge.warm_up(deadline).await;
        }
    }

    /// Serves one invocation. Every failure becomes an answer.
    pub async fn handle(
        self: &Arc<Self>,
        payload: &str,
        context: Context,
    ) -> Reply<impl Serialize + use<>> {
        let request_id = context.request_id.clone();
        let reply = match Trigger::of(payload) {
            Err(error) => Err(error.into()),
            Ok(trigger) => {
                tracing::debug!(request_id, trigger = trigger.name(), "invoked");
                self.dispatch(trigger, payload, context).await
            }
        };
        reply.unwrap_or_else(|failure| Reply::Problem {
            problem: self.report(&failure, &request_id),
            request_id,
        })
    }

    async fn dispatch(
        self: &Arc<Self>,
        trigger: Trigger,
        payload: &str,
        context: Context,
    ) -> Result<Reply<impl Serialize + use<>>, Failure> {
        let deadline = self.deadline(&context);
        match trigger {
            Trigger::KeepWarm => {
                let tenant = context.tenant_id.as_deref();
                let reply = self.keep_warm(tenant, deadline, &context.request_id);
                Ok(Reply::KeepWarm(reply.await?))
            }
            Trigger::ParameterChange => {
                let parameter = changed_parameter(payload)?;
                let reply = self.parameter_changed(&parameter, deadline, &context.request_id);
                Ok(Reply::KeepWarm(reply.await?))
            }
            Trigger::RotateToken => {
                let request = RotationRequest::parse(payload)?;
                let tenant = context.tenant_id.as_deref();
                let reply = self.rotate(&request, tenant, deadline, &context.request_id);
                Ok(Reply::Rotation(reply.await?))
            }
            Trigger::Direct => {
                let request = CommandsRequest::parse(payload)?;
                let tenant = context.tenant_id.as_deref();
                let asked = Asked {
                    request: &request,
                    permit: &Permit::of_invoker(),
                    home: request.home.as_ref(),
                    subject: None,
                };
                let reply = self
                    .run(&asked, tenant, deadline, &context.request_id)
                    .await?
                    .with_status_code();
                let bytes = json_bytes(&reply);
                if bytes > MAX_REPLY_BYTES {
                    return Err(Failure::ReplyTooLarge { bytes });
                }
                Ok(Reply::Commands(reply))
            }
            Trigger::HttpV1 | Trigger::HttpV2 | Trigger::FunctionUrl | Trigger::Alb => {
                let request = http::read(trigger, payload)?;
                let event = LambdaEvent::new(request, context);
                Ok(Reply::Http(http::serve(self.clone(), event).await))
            }
            Trigger::Alexa => Ok(Reply::Alexa(self.alexa(payload, context).await)),
            Trigger::WebSocket | Trigger::Doctor => Err(TriggerError::Unsupported {
                seen: format!(
                    "a {} event, which this version does not serve",
                    trigger.name()
                ),
            }
            .into()),
        }
    }

    /// When an invocation must be ready to answer.
    pub(crate) fn deadline(&self, context: &Context) -> Deadline {
        let now = self.clock.now();
        let end = Duration::from_millis(context.deadline).saturating_sub(TIME_TO_ANSWER);
        Deadline::at(Timestamp {
            monotonic: now.monotonic + end.saturating_sub(now.unix),
            unix: end,
        })
    }

    /// Writes the one log line of a failure and makes the caller's view of it.
    pub(crate) fn report(&self, failure: &Failure, request_id: &str) -> Problem {
        let problem = Problem::of(failure);
        let category = problem.name.name();
        let stage = failure.stage();
        if problem.name.status() < 500 {
            tracing::info!(request_id, category, stage, error = %failure, "refused");
        } else {
            tracing::error!(request_id, category, stage, error = %failure, "failed");
        }
        problem
    }

    /// Lets go of token and connections before this process is made a snapshot of.
    pub async fn suspend(&self) {
        self.homes.suspend().await;
    }

    /// Makes randomness this process's own again, once many were started from one snapshot.
    pub fn reseed(&self, seed: u64) {
        self.homes.reseed(seed);
        self.idempotency.reseed(seed);
    }

    /// Does what callers were not to wait for, within the time left to the invocation that ends at `deadline_ms` (Unix
    /// time): tokens past their soft TTL are read again, and what was measured is delivered. To be called after the answer
    /// was posted.
    pub async fn after_answer(&self, deadline_ms: u64) {
        let end = Duration::from_millis(deadline_ms).saturating_sub(TIME_TO_ANSWER);
        let left = end.saturating_sub(self.clock.now().unix);
        let deadline = Deadline::at(self.clock.now().after(left.min(REFRESH_LIMIT)));
        let homes = self.homes.open_ones();
        let done = homes
            .into_iter()
            .map(|home| async move { home.bridge.after_answer(deadline).await });
        let done = futures_util::stream::iter(done).buffer_unordered(AT_ONCE);
        done.collect::<Vec<()>>().await;
        let left = end.saturating_sub(self.clock.now().unix);
        self.metrics.flush(left.min(FLUSH_LIMIT)).await;
    }

    /// How latchkey is as a whole, in a word: one home of several that is not well is no reason to give up on the others.
    pub fn status(&self) -> Status {
        let mut statuses = self.health().map(|(_, health)| health.status);
        let Some(first) = statuses.next() else {
            return Status::Degraded;
        };
        statuses.fold(
            first,
            |all, one| if all == one { all } else { Status::Degraded },
        )
    }

    /// How each home is that is open here.
    pub fn health(&self) -> impl Iterator<Item = (Option<HomeName>, Health)> {
        let homes = self.homes.open_ones().into_iter();
        homes.map(|home| (home.name.clone(), home.bridge.health()))
    }

    /// Delivers what was measured, before the process ends.
    pub async fn flush_at_shutdown(&self) {
        self.metrics
            .flush_at_shutdown(FLUSH_LIMIT_AT_SHUTDOWN)
            .await;
    }
}

/// Waits for no longer than the invocation lasts.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        let stage = Stage::Idempotency;
        Failure::Bridge(HomeError::DeadlineExceeded { stage }.into())
    })
}
