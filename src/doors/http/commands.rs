//! Runs commands of Home Assistant's WebSocket API, one or a batch per request.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::answer::{Refused, json, room};
use super::shared::Shared;
use super::{body_of, invocation_of};
use crate::doors::callers_token::token;
use crate::doors::reply::CommandsReply;
use crate::service::access::Permitted;
use crate::service::app::AuthorisedCommands;
use crate::service::commands::{CommandsRequest, RequestError};

pub(super) async fn run(
    State(Shared { app, origins }): State<Shared>,
    request: Request,
) -> Result<Response, Refused> {
    let caller = app.identify(token(request.headers(), &origins)?).await?;
    let invocation = invocation_of(&app, &request)?;
    let room = room(&request);
    let body = body_of(request).await;
    let parsed = body.and_then(|body| Ok(parse(&body)?));
    let count = parsed.as_ref().map_or(1, |parsed| parsed.commands.len());
    app.spend(&caller, count).await?;
    let parsed = parsed?;
    let commands = Permitted::commands(&caller, parsed.commands)?;
    let batch = AuthorisedCommands {
        commands: &commands,
        key: parsed.idempotency_key.as_ref(),
        home: app.home_of(&caller, parsed.home.as_ref(), invocation.tenant())?,
        subject: app.subject_of(&caller),
        room,
    };
    let reply = CommandsReply::new(app.run(&batch, &invocation).await?);
    Ok(json(StatusCode::OK, "application/json", &reply))
}

fn parse(body: &[u8]) -> Result<CommandsRequest, RequestError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| RequestError::Shape("the request is not UTF-8 text".into()))?;
    CommandsRequest::parse(text)
}
