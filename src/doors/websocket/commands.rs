//! Answers the commands of one frame. Each command is authorised on its own. The authorised ones run as one batch.

use std::sync::Arc;

use super::door::Door;
use super::frame::Refusal;
use super::message::{Content, Incoming, Message};
use crate::doors::reply::report;
use crate::home::home_assistant::Command;
use crate::service::access::{AccessError, Permit, Permitted, only_reads};
use crate::service::app::{AuthorisedCommands, Room, audit};
use crate::service::commands::CommandResult;
use crate::service::connections::{Connection, ConnectionError, Dialect, Identity};
use crate::service::failure::{Failure, MessageError, ProblemName};

/// The largest message that API Gateway delivers.
const MAX_FRAME_BYTES: usize = 128 << 10;

/// The bytes of a frame that are reserved for the parts around the results.
const ROOM_FOR_THE_REST: usize = 8 << 10;

/// A message and its answer.
struct Slot {
    dialect: Dialect,
    id: Box<str>,
    answer: Answer,
}

enum Answer {
    /// The frame is complete.
    Frame(String),
    /// The command waits for the batch.
    Pending(Command),
}

/// Answers the messages of an authenticated connection. Returns the response of the invocation.
pub(super) async fn answer_all(
    door: &Door<'_>,
    mut connection: Connection,
    dialect: Dialect,
    incoming: Incoming,
) -> Option<String> {
    let mut slots = Vec::with_capacity(incoming.messages.len());
    for message in incoming.messages {
        slots.push(prepare(door, &mut connection, dialect, message).await);
    }
    claim_ids(door, &connection, &mut slots).await;
    let learned = learn_dialect(door, &connection, dialect);
    let ((), ()) = tokio::join!(run(door, &connection, &mut slots), learned);
    let coalesces = connection.coalesces || dialect == Dialect::Envelope;
    let mut frames: Vec<String> = slots.into_iter().filter_map(Slot::frame).collect();
    let bytes: usize = frames.iter().map(|frame| frame.len() + 1).sum();
    if frames.len() > 1 && incoming.is_array && coalesces && bytes < MAX_FRAME_BYTES {
        return Some(format!("[{}]", frames.join(",")));
    }
    // The last frame is the response. The others are posted, in order.
    let last = frames.pop();
    let address = &connection.address;
    for frame in frames {
        let posted = door
            .app
            .connections
            .post_patiently(address, &frame, door.invocation.deadline);
        if let Err(error) = posted.await {
            tracing::warn!(category = "connections", error = %error, "an answer was not delivered");
            break;
        }
    }
    last
}

/// Records the dialect of a frame if the connection has none or another one. A connection that was authenticated when
/// it was opened has no dialect before its first message.
async fn learn_dialect(door: &Door<'_>, connection: &Connection, dialect: Dialect) {
    if connection.dialect == Some(dialect) {
        return;
    }
    let connections = &door.app.connections;
    let learned = connections
        .learn(connection, dialect, connection.coalesces)
        .await;
    if let Err(error) = learned {
        tracing::warn!(category = "connections", error = %error, "the dialect was not recorded");
    }
}

/// Answers a message that needs no home, or prepares its command.
async fn prepare(
    door: &Door<'_>,
    connection: &mut Connection,
    dialect: Dialect,
    message: Message,
) -> Slot {
    let dialect = message.dialect.unwrap_or(dialect);
    let id = message.id;
    let answer = match check(door, connection, dialect, &id, message.content).await {
        Ok(answer) => answer,
        Err(failure) => Answer::Frame(door.refuse(Some(dialect), &id, &failure)),
    };
    Slot {
        dialect,
        id,
        answer,
    }
}

async fn check(
    door: &Door<'_>,
    connection: &mut Connection,
    dialect: Dialect,
    id: &str,
    content: Result<Content, MessageError>,
) -> Result<Answer, Failure> {
    let Some(identity) = &connection.identity else {
        return Err(AccessError::Missing.into());
    };
    if door.frames.now >= identity.expires_at {
        return Err(AccessError::Expired.into());
    }
    let command = match content? {
        // A new token is a frame of its own, because the messages beside it would have two callers.
        Content::Auth(_) => return Err(MessageError::AuthInArray.into()),
        Content::Ping => return Ok(Answer::Frame(door.frames.pong(dialect, id))),
        Content::Features { coalesces } => {
            let connections = &door.app.connections;
            connections.learn(connection, dialect, coalesces).await?;
            connection.dialect = Some(dialect);
            connection.coalesces = coalesces;
            return Ok(Answer::Frame(door.frames.done(dialect, id)));
        }
        Content::Watch(resources) => {
            let caller = identity.caller();
            for resource in &resources {
                Permit::of_watch(&caller, resource)?;
            }
            door.app.spend(&caller, resources.len()).await?;
            watch(door, connection, &resources).await?;
            return Ok(Answer::Frame(door.frames.done(dialect, id)));
        }
        Content::Unwatch(resources) => {
            door.app.spend(&identity.caller(), resources.len()).await?;
            door.app.connections.unwatch(connection, &resources).await?;
            return Ok(Answer::Frame(door.frames.done(dialect, id)));
        }
        Content::Command(command) => command,
    };
    let caller = identity.caller();
    door.app.spend(&caller, 1).await?;
    let decision = Permitted::commands(&caller, Arc::new([command.clone()]));
    if let Err(denied) = decision {
        audit(identity, &command, "denied", &door.invocation.id);
        return Err(denied.into());
    }
    Ok(Answer::Pending(command))
}

/// Claims the ids of the prepared commands, all at once. Refuses commands whose id was used before.
async fn claim_ids(door: &Door<'_>, connection: &Connection, slots: &mut [Slot]) {
    let claims = slots.iter().map(|slot| async move {
        match &slot.answer {
            Answer::Pending(command) if &*slot.id != "null" => {
                let claim = door
                    .app
                    .connections
                    .claim(connection, &slot.id, only_reads(command));
                match claim.await {
                    Ok(true) => None,
                    Ok(false) => Some(Failure::from(MessageError::IdReused)),
                    Err(error) => Some(error.into()),
                }
            }
            Answer::Pending(_) | Answer::Frame(_) => None,
        }
    });
    let refused = futures_util::future::join_all(claims).await;
    for (slot, failure) in slots.iter_mut().zip(refused) {
        if let Some(failure) = failure {
            slot.answer = Answer::Frame(door.refuse(Some(slot.dialect), &slot.id, &failure));
        }
    }
}

/// Begins watches. A new token may have reduced the permissions meanwhile, in another execution environment.
async fn watch(
    door: &Door<'_>,
    connection: &Connection,
    resources: &[String],
) -> Result<(), Failure> {
    let connections = &door.app.connections;
    connections.watch(connection, resources).await?;
    let fresh = connections.fresh(&connection.address.id).await?;
    let fresh = fresh.ok_or(ConnectionError::Gone)?;
    if let Some(identity) = &fresh.identity
        && fresh.identity != connection.identity
    {
        let caller = identity.caller();
        let allows = |resource: &str| Permit::of_watch(&caller, resource).is_ok();
        connections.end_watches(&fresh, allows).await?;
    }
    Ok(())
}

/// Runs the prepared commands as one batch, and completes their slots.
async fn run(door: &Door<'_>, connection: &Connection, slots: &mut [Slot]) {
    let commands: Vec<Command> = slots
        .iter()
        .filter_map(|slot| match &slot.answer {
            Answer::Pending(command) => Some(command.clone()),
            Answer::Frame(_) => None,
        })
        .collect();
    let (false, Some(identity)) = (commands.is_empty(), &connection.identity) else {
        return;
    };
    let outcome = run_batch(door, identity, commands).await;
    let mut results = match outcome {
        Ok(results) => results.into_iter(),
        Err(failure) => {
            let problem = report(door.app, &failure, &door.invocation.id);
            for slot in slots {
                if let Answer::Pending(command) = &slot.answer {
                    audit(identity, command, "not_sent", &door.invocation.id);
                    let refusal = Refusal {
                        failure: &failure,
                        problem: &problem,
                        closes: false,
                    };
                    let frame = door.frames.refusal(slot.dialect, &slot.id, &refusal);
                    slot.answer = Answer::Frame(frame);
                }
            }
            return;
        }
    };
    for slot in slots {
        let Answer::Pending(command) = &slot.answer else {
            continue;
        };
        let Some(result) = results.next() else { return };
        let outcome = match (result.outcome(), result.error()) {
            ("answered", Some(_)) => "failed",
            (outcome, _) => outcome,
        };
        audit(identity, command, outcome, &door.invocation.id);
        let result = with_route(command, result);
        let frame = door.frames.result(slot.dialect, &slot.id, &result);
        slot.answer = Answer::Frame(frame);
    }
}

async fn run_batch(
    door: &Door<'_>,
    identity: &Identity,
    commands: Vec<Command>,
) -> Result<Vec<CommandResult>, Failure> {
    let caller = identity.caller();
    // The same decision as before: no command runs without its permit.
    let permitted = Permitted::commands(&caller, commands.into())?;
    let batch = AuthorisedCommands {
        commands: &permitted,
        key: None,
        home: door.app.home_of(&caller, None, door.invocation.tenant())?,
        subject: door.app.subject_of(&caller),
        room: Room {
            bytes: MAX_FRAME_BYTES - ROOM_FOR_THE_REST,
            is_in_string: false,
        },
    };
    let results = door.app.run(&batch, door.invocation).await?;
    Ok(results.into_results())
}

/// Adds the HTTP route that has a result that is too large for a frame. A command that may have changed something gets
/// no route, because the route would run it again.
fn with_route(command: &Command, result: CommandResult) -> CommandResult {
    if !only_reads(command) {
        let hint =
            "; the command was executed, so check the home's state instead of sending it again";
        return result.with_hint(ProblemName::MessageTooLarge, hint);
    }
    let route = match command.kind() {
        "get_states" => "GET /api/states",
        "get_services" => "GET /api/services",
        "get_config" => "GET /api/config",
        _ => "POST /commands",
    };
    result.with_hint(
        ProblemName::MessageTooLarge,
        &format!("; {route} of the HTTP API returns it"),
    )
}

impl Slot {
    fn frame(self) -> Option<String> {
        match self.answer {
            Answer::Frame(frame) => Some(frame),
            Answer::Pending(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::home_assistant::{Answer, CommandFailure, Outcome};
    use crate::service::commands::CommandResults;

    #[test]
    fn only_a_read_names_the_route_that_repeats_it() {
        for (command, names) in [
            (r#"{"type":"get_states"}"#, "GET /api/states"),
            (r#"{"type":"logbook/get_events"}"#, "POST /commands"),
            (r#"{"type":"call_service"}"#, "the command was executed"),
        ] {
            let failure = CommandFailure {
                code: ProblemName::MessageTooLarge.name().into(),
                message: "the result does not fit".into(),
            };
            let results = CommandResults::new(vec![Outcome::Answered(Answer::Failure(failure))]);
            let result = results.into_results().remove(0);
            let result = with_route(&Command::parse(command).unwrap(), result);
            let (_, message) = result.error().unwrap();
            assert!(message.contains(names), "{command}: {message}");
            let is_read = only_reads(&Command::parse(command).unwrap());
            assert_eq!(message.contains("HTTP API"), is_read, "{message}");
        }
    }
}
