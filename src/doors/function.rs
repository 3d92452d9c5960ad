//! The function: payload in, reply out. Only this module connects triggers with the code that serves them.

use std::sync::Arc;

use axum::Router;
use lambda_runtime::Context;
use serde::{Serialize, Serializer};

use crate::base::config::{HttpConfig, WebSocketConfig};
use crate::base::json::json_bytes;
use crate::doors::alexa::{self, AlexaReply};
use crate::doors::http;
use crate::doors::invocation::invocation;
use crate::doors::reply::{
    CommandsReply, KeepWarmReply, MAX_REPLY_BYTES, Problem, ROOM_FOR_THE_REST, RotationReply,
    report,
};
use crate::doors::trigger::{Trigger, changed_parameter};
use crate::doors::websocket::{self, GatewayReply, QueueReply};
use crate::home::bridge::Warmth;
use crate::service::access::Permitted;
use crate::service::app::{App, AuthorisedCommands, Room};
use crate::service::commands::CommandsRequest;
use crate::service::failure::{EventError, Failure};
use crate::service::rotation::{RotationReport, RotationRequest};

/// The application with all its doors.
pub struct Function {
    /// The application. It serves the invocations of all doors.
    pub app: Arc<App>,
    router: Router,
    base_path: http::BasePath,
    websocket: websocket::Terms,
}

/// A reply, ready for serialisation. `H` is the reply to an HTTP event in its sender's format.
#[derive(Debug)]
pub enum Reply<H> {
    /// The reply to a keep-warm event.
    KeepWarm(KeepWarmReply),
    /// The reply to direct commands.
    Commands(CommandsReply),
    /// The reply to an Alexa directive.
    Alexa(AlexaReply),
    /// The reply to a rotation request.
    Rotation(RotationReply),
    /// The reply to an HTTP event.
    Http(H),
    /// The reply to an event of a WebSocket API.
    WebSocket(GatewayReply),
    /// The reply to an event of a queue.
    Queue(QueueReply),
    /// A failure, for a sender that is not an HTTP client.
    Problem {
        /// The problem.
        problem: Problem,
        /// The request ID of the invocation.
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
            Self::WebSocket(reply) => reply.serialize(serializer),
            Self::Queue(reply) => reply.serialize(serializer),
            Self::Problem {
                problem,
                request_id,
            } => problem.document(request_id, true).serialize(serializer),
        }
    }
}

impl Function {
    /// Creates a function from an application and the settings of its doors.
    pub fn new(app: Arc<App>, config: HttpConfig, websocket: &WebSocketConfig) -> Self {
        Self {
            websocket: websocket::Terms::new(&config, websocket),
            router: http::router(app.clone(), &config),
            base_path: http::BasePath::configured(config.base_path),
            app,
        }
    }

    /// Returns the HTTP router, for use in another server. Each request must have the [`Context`] of an invocation as
    /// an extension. The context contains the request ID and the deadline.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves one invocation. Every failure becomes a reply.
    pub async fn handle(&self, payload: &str, context: Context) -> Reply<impl Serialize + use<>> {
        let request_id = context.request_id.clone();
        let reply = match Trigger::of(payload) {
            Err(error) => Err(error.into()),
            Ok(trigger) => {
                tracing::debug!(request_id, trigger = trigger.name(), "invoked");
                self.dispatch(trigger, payload, context).await
            }
        };
        reply.unwrap_or_else(|failure| Reply::Problem {
            problem: report(&self.app, &failure, &request_id),
            request_id,
        })
    }

    async fn dispatch(
        &self,
        trigger: Trigger,
        payload: &str,
        context: Context,
    ) -> Result<Reply<impl Serialize + use<>>, Failure> {
        let invocation = invocation(&self.app, &context);
        // The futures of the other triggers are on the heap, so that they do not enlarge the future of a command.
        match trigger {
            Trigger::KeepWarm => {
                let finish = |warmth| self.finding(warmth, &invocation.id);
                let warmed = Box::pin(self.app.keep_warm(&invocation, finish));
                let swept = Box::pin(websocket::sweep(&self.app, &invocation));
                let (warmed, ()) = tokio::join!(warmed, swept);
                let warmed = warmed?;
                Ok(Reply::KeepWarm(KeepWarmReply::of(warmed)))
            }
            Trigger::ParameterChange => {
                let parameter = changed_parameter(payload)?;
                let finish = |warmth| self.finding(warmth, &invocation.id);
                let warmed = self.app.parameter_changed(&parameter, &invocation, finish);
                Ok(Reply::KeepWarm(match Box::pin(warmed).await? {
                    Some(warmed) => KeepWarmReply::of(warmed),
                    None => KeepWarmReply::ignored(),
                }))
            }
            Trigger::RotateToken => {
                let request = RotationRequest::parse(payload)?;
                let finish = |rotated: Result<RotationReport, Failure>| {
                    rotated.map_err(|failure| report(&self.app, &failure, &invocation.id))
                };
                let rotated = Box::pin(self.app.rotate(&request, &invocation, finish)).await?;
                Ok(Reply::Rotation(RotationReply::of(rotated)))
            }
            Trigger::Direct => {
                let request = CommandsRequest::parse(payload)?;
                let batch = AuthorisedCommands {
                    commands: &Permitted::by_invoker(request.commands),
                    key: request.idempotency_key.as_ref(),
                    home: request.home.as_ref(),
                    subject: None,
                    room: Room {
                        bytes: MAX_REPLY_BYTES - ROOM_FOR_THE_REST,
                        is_in_string: false,
                    },
                };
                let results = self.app.run(&batch, &invocation).await?;
                let reply = CommandsReply::new(results).with_status_code();
                if json_bytes(&reply) > MAX_REPLY_BYTES {
                    let limit_bytes = MAX_REPLY_BYTES;
                    return Err(Failure::ReplyTooLarge { limit_bytes });
                }
                Ok(Reply::Commands(reply))
            }
            Trigger::HttpV1 | Trigger::HttpV2 | Trigger::FunctionUrl | Trigger::Alb => {
                let (router, base_path) = (self.router(), &self.base_path);
                let answer = http::serve(&self.app, router, base_path, trigger, payload, context);
                Ok(Reply::Http(Box::pin(answer).await))
            }
            Trigger::Alexa => {
                let reply = alexa::serve(&self.app, payload, &invocation);
                Ok(Reply::Alexa(Box::pin(reply).await))
            }
            Trigger::WebSocket => {
                let reply = websocket::serve(&self.app, &self.websocket, payload, &invocation);
                Ok(Reply::WebSocket(Box::pin(reply).await))
            }
            Trigger::Queue => {
                let reply = websocket::wake(&self.app, payload, &invocation);
                Ok(Reply::Queue(Box::pin(reply).await?))
            }
            Trigger::Doctor => Err(EventError::Unsupported {
                seen: format!(
                    "a {} event, which this version does not serve",
                    trigger.name()
                ),
            }
            .into()),
        }
    }

    /// Logs the problem of a warmed home, and returns the home's status with its problem.
    fn finding(
        &self,
        warmth: Result<Warmth, Failure>,
        request_id: &str,
    ) -> (Option<Warmth>, Option<Problem>) {
        let (warmth, failure) = match warmth {
            Ok(warmth) => {
                let failure = warmth.error.clone().map(Failure::Bridge);
                (Some(warmth), failure)
            }
            Err(failure) => (None, Some(failure)),
        };
        let problem = failure.map(|failure| report(&self.app, &failure, request_id));
        (warmth, problem)
    }
}
