//! The function: payload in, reply out. The only place where triggers meet what serves them.

use std::sync::Arc;

use axum::Router;
use lambda_runtime::Context;
use serde::{Serialize, Serializer};

use crate::access::Permitted;
use crate::app::{App, Asked, MAX_REPLY_BYTES, ROOM_FOR_THE_REST, Room};
use crate::commands::CommandsRequest;
use crate::config::HttpConfig;
use crate::http;
use crate::json::json_bytes;
use crate::reply::{AlexaReply, CommandsReply, Failure, KeepWarmReply, Problem, RotationReply};
use crate::rotation::RotationRequest;
use crate::trigger::{Trigger, TriggerError, changed_parameter};

/// The application behind everything that can invoke it.
pub struct Function {
    /// What serves invocations, whoever they come from.
    pub app: Arc<App>,
    router: Router,
    base_path: http::BasePath,
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

impl Function {
    /// A function over an application, whose HTTP door is set up as `config` says.
    pub fn new(app: Arc<App>, config: HttpConfig) -> Self {
        Self {
            router: http::router(app.clone(), &config),
            base_path: http::BasePath::configured(config.base_path),
            app,
        }
    }

    /// The HTTP door by itself, for a server of one's own. Each request must have the [`Context`] of an invocation as
    /// an extension: it names the request and says until when there is time.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves one invocation. Every failure becomes an answer.
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
            problem: self.app.report(&failure, &request_id),
            request_id,
        })
    }

    async fn dispatch(
        &self,
        trigger: Trigger,
        payload: &str,
        context: Context,
    ) -> Result<Reply<impl Serialize + use<>>, Failure> {
        let invocation = self.app.invocation(&context);
        match trigger {
            Trigger::KeepWarm => {
                let reply = self.app.keep_warm(&invocation);
                Ok(Reply::KeepWarm(reply.await?))
            }
            Trigger::ParameterChange => {
                let parameter = changed_parameter(payload)?;
                let reply = self.app.parameter_changed(&parameter, &invocation);
                Ok(Reply::KeepWarm(reply.await?))
            }
            Trigger::RotateToken => {
                let request = RotationRequest::parse(payload)?;
                let reply = self.app.rotate(&request, &invocation);
                Ok(Reply::Rotation(reply.await?))
            }
            Trigger::Direct => {
                let request = CommandsRequest::parse(payload)?;
                let asked = Asked {
                    commands: &Permitted::by_invoker(request.commands),
                    key: request.idempotency_key.as_ref(),
                    home: request.home.as_ref(),
                    subject: None,
                    room: Room {
                        bytes: MAX_REPLY_BYTES - ROOM_FOR_THE_REST,
                        is_in_string: false,
                    },
                };
                let reply = self.app.run(&asked, &invocation).await?.with_status_code();
                if json_bytes(&reply) > MAX_REPLY_BYTES {
                    let limit_bytes = MAX_REPLY_BYTES;
                    return Err(Failure::ReplyTooLarge { limit_bytes });
                }
                Ok(Reply::Commands(reply))
            }
            Trigger::HttpV1 | Trigger::HttpV2 | Trigger::FunctionUrl | Trigger::Alb => {
                let (router, base_path) = (self.router(), &self.base_path);
                let answer = http::serve(&self.app, router, base_path, trigger, payload, context);
                Ok(Reply::Http(answer.await))
            }
            Trigger::Alexa => Ok(Reply::Alexa(self.app.alexa(payload, &invocation).await)),
            Trigger::WebSocket | Trigger::Doctor => Err(TriggerError::Unsupported {
                seen: format!(
                    "a {} event, which this version does not serve",
                    trigger.name()
                ),
            }
            .into()),
        }
    }
}
