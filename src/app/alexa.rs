//! Alexa Smart Home directives that the function is invoked with.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::value::RawValue;

use super::{App, Invocation};
use crate::access::{Caller, Door, Permitted, RestRequest};
use crate::alexa::Directive;
use crate::home_assistant::HomeError;
use crate::reply::{AlexaReply, ErrorResponse, Failure};

/// Alexa waits for 8 s; the answer has a way to go.
const PATIENCE: Duration = Duration::from_millis(7_500);

const PATH: &str = "/alexa/smart_home";

impl App {
    /// Hands a directive to the home of the user who spoke, and its answer back.
    pub(crate) async fn alexa(&self, payload: &str, invocation: &Invocation) -> AlexaReply {
        let impatient = Invocation {
            deadline: invocation.deadline.min(self.clock.now().after(PATIENCE)),
            ..invocation.clone()
        };
        let directive = Directive::parse(payload);
        match self.direct(&directive, payload, &impatient).await {
            Ok(answer) => AlexaReply::Home(answer),
            Err(failure) => {
                let problem = self.report(&failure, &invocation.id);
                let response = ErrorResponse::new(&directive, &failure, problem, &invocation.id);
                AlexaReply::Error(Box::new(response))
            }
        }
    }

    async fn direct(
        &self,
        directive: &Directive,
        payload: &str,
        invocation: &Invocation,
    ) -> Result<Box<RawValue>, Failure> {
        if let Some(error) = directive.unreadable() {
            return Err(Failure::Directive(error.clone()));
        }
        // A skill is let in by AWS, but by whom it is used its users' tokens tell, if callers have any.
        let caller = match &self.door {
            Door::Verified(_) => self.admit(directive.token()).await?,
            Door::Closed | Door::Open => Caller::unproven(),
        };
        let body = Bytes::copy_from_slice(payload.as_bytes());
        let asked = RestRequest::new(Method::POST, PATH, "", body)?;
        let asked = Permitted::request(&caller, asked)?;
        let home = self.home_of(&caller, None, invocation.tenant())?;
        let answer = self
            .pass_on(&asked, HeaderMap::new(), home, invocation)
            .await?;
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            return Err(Failure::NoAlexa { status });
        }
        let body = answer.body.whole(self.time_left(invocation)).await?;
        let text = String::from_utf8(body.into()).ok();
        let json = text.and_then(|text| RawValue::from_string(text).ok());
        let strange = |seen| Failure::OutcomeUnknown(HomeError::NotHomeAssistant { seen });
        let json = json.ok_or(strange("an answer to a directive that is not JSON"))?;
        match directive.is_answered_by(json.get()) {
            true => Ok(json),
            false => Err(strange(
                "an answer of another interface than the directive's",
            )),
        }
    }
}
