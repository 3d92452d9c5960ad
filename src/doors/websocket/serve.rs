//! Serves one event of a WebSocket API: parse, authenticate, authorise, run, answer.

use http::HeaderMap;
use secrecy::ExposeSecret as _;

use super::commands::answer_all;
use super::door::Door;
use super::event::{Event, Kind};
use super::frame::Frames;
use super::message::{Content, Incoming, Message};
use super::{GatewayReply, Terms};
use crate::base::metrics::Metric;
use crate::doors::callers_token::{SUBPROTOCOL, connection_token, subprotocols};
use crate::doors::reply::{Problem, report};
use crate::service::access::{AccessError, Permit};
use crate::service::app::{App, Invocation};
use crate::service::connections::{Connection, ConnectionError, Dialect, Opening};
use crate::service::failure::{Failure, MessageError, ProblemName};

/// Serves an event. It always returns a response that API Gateway accepts.
pub(crate) async fn serve(
    app: &App,
    terms: &Terms,
    payload: &str,
    invocation: &Invocation,
) -> GatewayReply {
    let event = match Event::read(payload) {
        Ok(event) => event,
        Err(error) => {
            let kind = "websocket";
            report(app, &Failure::Member { kind, error }, &invocation.id);
            return GatewayReply::status(400);
        }
    };
    let opening = event.opening();
    match &event.kind {
        Kind::Connect {
            headers,
            query_token,
        } => {
            let query = query_token.as_deref().filter(|_| terms.takes_query_token);
            match connect(app, terms, &opening, headers, query).await {
                Ok(()) => accepted(headers),
                Err(failure) => refused(&report(app, &failure, &invocation.id)),
            }
        }
        Kind::Message(body) => {
            let door = Door {
                app,
                opening,
                invocation,
                frames: Frames {
                    now: app.clock.now().unix,
                },
            };
            GatewayReply::frame(door.message(body).await)
        }
        Kind::Disconnect => {
            if let Err(error) = app.connections.forget(&event.id).await {
                // The sweep removes the connection.
                report(app, &Failure::Connection(error), &invocation.id);
            }
            GatewayReply::status(200)
        }
    }
}

/// Opens a connection. Nothing can be sent to the client before this invocation has ended.
async fn connect(
    app: &App,
    terms: &Terms,
    opening: &Opening<'_>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(), Failure> {
    let token = connection_token(headers, query, &terms.origins)?;
    let caller = match token {
        None if app.knows_callers() => {
            app.connections.count_attempt(opening.source).await?;
            None
        }
        token => match app.identify(token).await {
            Ok(caller) => Some(caller),
            Err(failure) => {
                app.connections.count_attempt(opening.source).await?;
                return Err(failure);
            }
        },
    };
    Ok(app.connections.open(opening, caller.as_ref()).await?)
}

/// Accepts a connection, with the subprotocol that latchkey speaks if the client offers it.
fn accepted(headers: &HeaderMap) -> GatewayReply {
    let mut reply = GatewayReply::status(200);
    if subprotocols(headers).any(|name| name == SUBPROTOCOL) {
        reply.headers.insert("Sec-WebSocket-Protocol", SUBPROTOCOL);
    }
    reply
}

/// Refuses a connection. The client sees only the status.
fn refused(problem: &Problem) -> GatewayReply {
    GatewayReply::status(match problem.name {
        ProblemName::Unauthenticated => 401,
        ProblemName::Forbidden | ProblemName::RateLimited => 403,
        _ => problem.status,
    })
}

impl Door<'_> {
    /// Answers the messages of a frame.
    async fn message(&self, body: &Result<String, &'static str>) -> Option<String> {
        let mut incoming = match body {
            Ok(text) => Incoming::parse(text),
            Err(fault) => Incoming::unreadable(MessageError::NotText(fault)),
        };
        let shown = incoming.dialect();
        let connection = match self.app.connections.find(&self.opening.id).await {
            Ok(Some(connection)) => connection,
            Ok(None) => {
                let dialect = shown.unwrap_or(Dialect::Envelope);
                self.end(dialect, "null", &ConnectionError::Gone.into())
                    .await;
                return None;
            }
            Err(error) => return Some(self.refuse(shown, incoming.first_id(), &error.into())),
        };
        let dialect = shown.or(connection.dialect).unwrap_or(Dialect::Envelope);
        let count = incoming.messages.len();
        let counted = self.app.connections.count_messages(&connection, count);
        if let Err(error) = counted.await {
            return Some(self.refuse(Some(dialect), incoming.first_id(), &error.into()));
        }
        match incoming.messages.as_mut_slice() {
            [
                Message {
                    id,
                    content: Ok(Content::Auth(token)),
                    ..
                },
            ] => {
                let id = id.clone();
                let token = token.expose_secret();
                self.authenticate(&connection, dialect, &id, token).await
            }
            _ if connection.identity.is_none() => {
                let failure = Failure::from(AccessError::Missing);
                self.end(dialect, incoming.first_id(), &failure).await;
                None
            }
            _ => answer_all(self, connection, dialect, incoming).await,
        }
    }

    /// Authenticates a connection, or renews its caller.
    async fn authenticate(
        &self,
        connection: &Connection,
        dialect: Dialect,
        id: &str,
        token: &str,
    ) -> Option<String> {
        let is_renewal = connection.identity.is_some();
        let outcome = self.admit(connection, dialect, token).await;
        if is_renewal {
            let metric = match outcome {
                Ok(_) => Metric::ReauthSuccess,
                Err(_) => Metric::ReauthFailure,
            };
            self.app.metrics.record(metric);
        }
        let failure = match outcome {
            Ok(connection) => return Some(self.auth_ok(&connection, dialect, id).await),
            Err(failure) => failure,
        };
        // An invalid new token leaves the old one in force. Another caller's token ends the connection.
        let is_foreign = failure == Failure::Connection(ConnectionError::OtherPerson);
        if is_renewal && !is_foreign {
            return Some(self.refuse(Some(dialect), id, &failure));
        }
        self.end(dialect, id, &failure).await;
        None
    }

    async fn admit(
        &self,
        connection: &Connection,
        dialect: Dialect,
        token: &str,
    ) -> Result<Connection, Failure> {
        let connections = &self.app.connections;
        let caller = match self.app.identify(Some(token)).await {
            Ok(caller) => caller,
            Err(failure) => {
                connections.count_attempt(self.opening.source).await?;
                return Err(failure);
            }
        };
        if let Some(identity) = &connection.identity
            && identity.tenant != caller.tenant
        {
            self.app.metrics.record(Metric::TenantViolation);
        }
        let renewed = connections
            .authenticate(connection, &caller, dialect)
            .await?;
        if connection.identity.is_some() {
            let allows = |resource: &str| Permit::of_watch(&caller, resource).is_ok();
            if let Err(error) = connections.end_watches(&renewed, allows).await {
                // Watches that are not permitted any more must not stay.
                connections.end(&renewed.address, None).await;
                return Err(error.into());
            }
        }
        Ok(renewed)
    }

    async fn auth_ok(&self, connection: &Connection, dialect: Dialect, id: &str) -> String {
        let identity = connection.identity.as_ref();
        let tenant = identity.and_then(|identity| identity.tenant.as_ref());
        let version = self.app.home_version(tenant, self.invocation).await;
        let expires_at = identity.map_or(self.frames.now, |identity| identity.expires_at);
        self.frames.auth_ok(dialect, id, &version, expires_at)
    }
}
