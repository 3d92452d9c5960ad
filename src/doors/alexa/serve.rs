//! Serves Alexa Smart Home directives that invoke the function directly.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::value::RawValue;

use super::directive::Directive;
use super::response::{AlexaReply, ErrorResponse};
use crate::doors::reply::report;
use crate::home::home_assistant::HomeError;
use crate::service::access::{Caller, Permitted, RestRequest};
use crate::service::app::{App, Invocation};
use crate::service::failure::Failure;

/// The time limit of a directive. Alexa waits for 8 s, and the response needs time to travel.
const TIME_LIMIT: Duration = Duration::from_millis(7_500);

const PATH: &str = "/alexa/smart_home";

/// Forwards a directive to the home of the user who spoke, and returns the home's response.
pub(crate) async fn serve(app: &App, payload: &str, invocation: &Invocation) -> AlexaReply {
    let limited = app.at_most(TIME_LIMIT, invocation);
    let directive = Directive::parse(payload);
    match pass_on(app, &directive, payload, &limited).await {
        Ok(answer) => AlexaReply::Home(answer),
        Err(failure) => {
            let problem = report(app, &failure, &invocation.id);
            let response = ErrorResponse::new(&directive, &failure, problem, &invocation.id);
            AlexaReply::Error(Box::new(response))
        }
    }
}

async fn pass_on(
    app: &App,
    directive: &Directive,
    payload: &str,
    invocation: &Invocation,
) -> Result<Box<RawValue>, Failure> {
    if let Some(error) = directive.unreadable() {
        return Err(Failure::Directive(error.clone()));
    }
    // AWS authorises the skill. The tokens of its users identify the callers, if callers have tokens.
    let caller = match app.knows_callers() {
        true => app.admit(directive.token()).await?,
        false => Caller::unproven(),
    };
    let body = Bytes::copy_from_slice(payload.as_bytes());
    let request = RestRequest::new(Method::POST, PATH, "", body)?;
    let request = Permitted::request(&caller, request)?;
    let home = app.home_of(&caller, None, invocation.tenant())?;
    let answer = app
        .pass_on(&request, HeaderMap::new(), home, invocation)
        .await?;
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return Err(Failure::NoAlexa { status });
    }
    let body = answer.body.whole(app.time_left(invocation)).await?;
    let text = String::from_utf8(body.into()).ok();
    let json = text.and_then(|text| RawValue::from_string(text).ok());
    let strange = |seen| Failure::OutcomeUnknown(HomeError::NotHomeAssistant { seen });
    let json = json.ok_or(strange("an answer to a directive that is not JSON"))?;
    match directive.is_answered_by(json.get()) {
        true => Ok(json),
        false => Err(strange("an answer of another Alexa interface")),
    }
}
