//! Messages of the queue of deadlines, and the sweep behind it.

use std::time::Duration;

use serde::Serialize;

use super::frame::{Frames, Refusal};
use crate::base::json::{MemberError, Members, Object};
use crate::doors::reply::{Problem, report};
use crate::service::access::AccessError;
use crate::service::app::{App, Invocation};
use crate::service::connections::{Connection, Dialect, Look};
use crate::service::failure::Failure;

/// The response to an event of a queue. The listed messages come back later.
#[derive(Debug, Serialize)]
pub struct QueueReply {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<FailedItem>,
}

#[derive(Debug, Serialize)]
struct FailedItem {
    #[serde(rename = "itemIdentifier")]
    id: String,
}

/// Looks after the connections that the messages of an event name.
pub(crate) async fn wake(
    app: &App,
    payload: &str,
    invocation: &Invocation,
) -> Result<QueueReply, Failure> {
    let mut failures = Vec::new();
    let messages = messages(payload).map_err(|error| {
        let kind = "queue";
        Failure::Member { kind, error }
    })?;
    let frames = |connection: &Connection, look| frame(app, connection, look);
    for (id, body) in messages {
        if let Err(error) = app.connections.wake(&body, &frames).await {
            report(app, &Failure::Connection(error), &invocation.id);
            failures.push(FailedItem { id });
        }
    }
    Ok(QueueReply { failures })
}

/// Looks after the connections whose deadlines the queue has missed.
pub(crate) async fn sweep(app: &App, invocation: &Invocation) {
    let frames = |connection: &Connection, look| frame(app, connection, look);
    match app.connections.sweep(&frames).await {
        Ok(()) => {}
        // Without a queue, the stack probably has no WebSocket API. The function's role may then not use the index.
        Err(error) if !app.connections.has_queue() => {
            tracing::debug!(error = %error, "connections were not swept");
        }
        Err(error) => {
            report(app, &Failure::Connection(error), &invocation.id);
        }
    }
}

/// Returns the ids and bodies of the messages in an event.
fn messages(payload: &str) -> Result<Vec<(String, String)>, MemberError> {
    let missing = |member: &str| MemberError::new(member, "is missing");
    let event = Members::parse(payload).unwrap_or_default();
    let records = event.value("Records").ok_or_else(|| missing("Records"))?;
    let records: Vec<Members<'_>> = serde_json::from_str(records.get())
        .map_err(|_| MemberError::new("Records", "is not an array of objects"))?;
    let records = records.into_iter().map(|record| {
        let record = Object::outermost(record);
        let id = record.text("messageId")?.unwrap_or_default();
        let body = record
            .text("body")?
            .ok_or_else(|| missing("Records.body"))?;
        Ok((id, body))
    });
    records.collect()
}

/// Returns the frame that tells a client about its connection.
fn frame(app: &App, connection: &Connection, look: Look) -> Option<String> {
    let frames = Frames {
        now: app.clock.now().unix,
    };
    let is_envelope = connection.dialect == Some(Dialect::Envelope);
    match look {
        Look::Check => None,
        Look::Greet { left } => Some(frames.auth_required(&app.known_version(), left)),
        // Clients of Home Assistant's protocol have no message for it. They get a new token when they connect again.
        Look::Expiring { left } => is_envelope.then(|| frames.expiry("expiring", left)),
        Look::Expired => is_envelope.then(|| frames.expiry("expired", Duration::ZERO)),
        Look::EndUnauthenticated => Some(last(frames, AccessError::Missing)),
        Look::EndExpired => Some(last(frames, AccessError::Expired)),
    }
}

fn last(frames: Frames, error: AccessError) -> String {
    let failure = Failure::from(error);
    let problem = Problem::of(&failure);
    let refusal = Refusal {
        failure: &failure,
        problem: &problem,
        closes: true,
    };
    frames.refusal(Dialect::Envelope, "null", &refusal)
}
