//! Every WebSocket fault, as a client observes it.

use std::{io, time::Duration};

use latchkey_dev::home::{Break, Junk, Refusal, SimulatedHome, SocketFault, SocketStage};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{auth, connect, log_in, next, send, start, turn_on};

/// The time limit for a message on loopback. Only faults without a message reach it.
const MESSAGE_WITHIN: Duration = Duration::from_secs(2);

/// The result of a command that turns on a light.
#[derive(Debug)]
enum End {
    Answered(Value),
    Status(u16),
    CloseFrame(SocketStage, u16),
    Failed(SocketStage, Error),
    Unexpected(SocketStage, Message),
    Nothing(SocketStage),
}

async fn step(
    stage: SocketStage,
    step: impl Future<Output = Result<Message, Error>>,
) -> Result<Value, End> {
    match tokio::time::timeout(MESSAGE_WITHIN, step).await {
        Err(_) => Err(End::Nothing(stage)),
        Ok(Err(error)) => Err(End::Failed(stage, error)),
        Ok(Ok(Message::Close(frame))) => Err(End::CloseFrame(
            stage,
            frame.map_or(1005, |frame| frame.code.into()),
        )),
        Ok(Ok(message)) => {
            let parsed = message
                .to_text()
                .ok()
                .and_then(|text| serde_json::from_str(text).ok());
            parsed.ok_or(End::Unexpected(stage, message))
        }
    }
}

/// Connects, authenticates and turns on a light. Returns the reply, or an error for the first unexpected message.
async fn turn_light_on(home: &SimulatedHome, token: &str) -> Result<Value, End> {
    let connected = tokio::time::timeout(MESSAGE_WITHIN, connect(home)).await;
    let mut socket = match connected {
        Err(_) => return Err(End::Nothing(SocketStage::Upgrade)),
        Ok(Err(Error::Http(response))) => return Err(End::Status(response.status().as_u16())),
        Ok(Err(error)) => return Err(End::Failed(SocketStage::Upgrade, error)),
        Ok(Ok(socket)) => socket,
    };
    let due = |stage, message: Value, kind: &str| {
        if message["type"] == kind {
            Ok(message)
        } else {
            Err(End::Unexpected(stage, Message::text(message.to_string())))
        }
    };
    let greeting = step(SocketStage::AuthRequired, next(&mut socket)).await?;
    due(SocketStage::AuthRequired, greeting, "auth_required")?;
    send(&mut socket, auth(token)).await;
    let verdict = step(SocketStage::Auth, next(&mut socket)).await?;
    due(SocketStage::Auth, verdict, "auth_ok")?;
    // If the connection is already closed, the next read returns the error.
    let command = Message::text(turn_on(1, "light.kitchen").to_string());
    let _ = futures_util::SinkExt::send(&mut socket, command).await;
    loop {
        let reply = step(SocketStage::Reply, next(&mut socket)).await?;
        let reply = match reply {
            Value::Array(mut replies) if replies.len() == 1 => replies.remove(0),
            reply => reply,
        };
        if reply["id"].as_u64().is_some_and(|id| id >= 1_000_000) {
            continue;
        }
        return due(SocketStage::Reply, reply, "result");
    }
}

/// Returns the stage at which a client notices a break at `stage`.
fn noticed_at(stage: SocketStage) -> SocketStage {
    match stage {
        SocketStage::AuthOk | SocketStage::Command => SocketStage::Reply,
        stage => stage,
    }
}

fn is_reset(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

/// Returns true if the fault causes this end.
fn is_expected(fault: &SocketFault, end: &End) -> bool {
    match (fault, end) {
        (SocketFault::Refuse(Refusal::Status(code)), End::Status(got)) => code == got,
        (SocketFault::Refuse(Refusal::Redirect), End::Status(302)) => true,
        (SocketFault::Refuse(Refusal::Html), End::Status(200)) => true,
        (SocketFault::Refuse(Refusal::WrongAccept), End::Failed(stage, Error::Protocol(_))) => {
            *stage == SocketStage::Upgrade
        }
        (SocketFault::At(stage, Break::Hang | Break::HalfOpen), End::Nothing(at)) => {
            noticed_at(*stage) == *at
        }
        (SocketFault::At(stage, Break::Close), End::Failed(at, _)) => noticed_at(*stage) == *at,
        (SocketFault::At(stage, Break::Reset), End::Failed(at, error)) => {
            // Before the first byte, tungstenite reports any end as an incomplete handshake. After
            // `auth_ok`, the command's send can consume the reset before the read.
            let is_reported = !matches!(stage, SocketStage::Upgrade | SocketStage::AuthOk);
            noticed_at(*stage) == *at && (is_reset(error) || !is_reported)
        }
        (SocketFault::At(stage, Break::CloseFrame(code)), End::CloseFrame(at, got)) => {
            noticed_at(*stage) == *at && code == got
        }
        (SocketFault::Junk(stage, Junk::NotUtf8 | Junk::ReservedOpcode), End::Failed(at, _)) => {
            stage == at
        }
        (SocketFault::Junk(stage, _), End::Unexpected(at, _)) => stage == at,
        (SocketFault::AuthInvalid, End::Unexpected(SocketStage::Auth, message)) => {
            message.to_text().unwrap().contains("auth_invalid")
        }
        (SocketFault::ServicesMissing, End::Answered(reply)) => {
            reply["error"]["code"] == "not_found"
        }
        (SocketFault::ErrorReply(code), End::Answered(reply)) => reply["error"]["code"] == *code,
        (SocketFault::HugeReply(bytes), End::Answered(reply)) => {
            reply["result"].as_str().unwrap().len() == *bytes
        }
        (SocketFault::SlowReply(_), End::Nothing(SocketStage::Reply)) => true,
        (fault, End::Answered(reply)) => {
            SocketFault::harmless().contains(fault) && reply["success"] == true
        }
        _ => false,
    }
}

/// Returns true if the light is turned on in spite of the fault.
fn is_executed(fault: &SocketFault) -> bool {
    match fault {
        SocketFault::At(stage, _) => *stage == SocketStage::Reply,
        // This client stops at an unexpected message.
        SocketFault::Junk(stage, _) => *stage == SocketStage::Reply,
        SocketFault::Refuse(_) | SocketFault::AuthInvalid | SocketFault::ServicesMissing => false,
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_its_effect() {
    let trials = SocketFault::all().into_iter().map(|fault| async move {
        let fault = match fault {
            // The default size is for clients with a size limit. This client has no limit.
            SocketFault::HugeReply(_) => SocketFault::HugeReply(1 << 20),
            fault => fault,
        };
        let home = start().await;
        let token = home.mint_token("test");
        home.set_fault(fault.clone());
        let end = match turn_light_on(&home, &token).await {
            Ok(reply) => End::Answered(reply),
            Err(end) => end,
        };
        assert!(is_expected(&fault, &end), "{fault:?}: {end:?}");
        let counters = home.counters();
        assert!(counters.faults_hit > 0, "{fault:?}");
        let executed = counters.calls_of("light", "turn_on", "light.kitchen");
        assert_eq!(executed, usize::from(is_executed(&fault)), "{fault:?}");
        let failed_logins = u64::from(fault == SocketFault::AuthInvalid);
        assert_eq!(counters.failed_logins, failed_logins, "{fault:?}");

        home.clear_faults();
        assert_eq!(turn_light_on(&home, &token).await.unwrap()["success"], true);
    });
    futures_util::future::join_all(trials).await;
}

#[tokio::test]
async fn hanging_command_does_not_affect_other_commands() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("test")).await;
    home.set_fault_times(SocketFault::At(SocketStage::Reply, Break::Hang), 1);
    send(&mut socket, turn_on(1, "light.kitchen")).await;
    send(&mut socket, turn_on(2, "light.bedroom")).await;
    let reply = step(SocketStage::Reply, next(&mut socket)).await.unwrap();
    assert_eq!(reply["id"], 2);
    assert_eq!(home.counters().service_calls.len(), 2);
}
