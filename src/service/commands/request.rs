//! The command request in a direct payload and in the body of `POST /commands`: one command or a batch.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::base::home_name::HomeName;
use crate::base::json::{JsonError, Members, kind_of, shown};
use crate::home::home_assistant::{Command, CommandError};
use crate::service::idempotency::IdempotencyKey;

/// The maximum number of commands in a request.
pub const MAX_COMMANDS: usize = 100;

/// The maximum size of a frame to the home. Home Assistant closes the connection on a message above 4 MiB, and all
/// requests share that connection.
pub const MAX_FRAME_BYTES: usize = (4 << 20) - (16 << 10);

/// The maximum size of a request. Its commands, with their ids, fit into one frame.
pub const MAX_REQUEST_BYTES: usize = (4 << 20) - (64 << 10);

/// A checked request to run commands.
#[derive(Debug, PartialEq)]
pub struct CommandsRequest {
    /// Between one and [`MAX_COMMANDS`] commands.
    pub commands: Arc<[Command]>,
    /// The home that the request names, if any.
    pub home: Option<HomeName>,
    /// The key under which the outcome is recorded, if the request has one.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The error that rejects a whole request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request is not JSON, or it is nested too deeply.
    #[error("the request cannot be parsed as JSON ({0})")]
    NotJson(#[from] JsonError),
    /// The request is JSON of another shape. The text says which part is wrong.
    #[error("{0}")]
    Shape(String),
    /// The commands do not fit into one message to Home Assistant.
    #[error(
        "the request has {bytes} bytes; Home Assistant accepts at most {MAX_REQUEST_BYTES} in one message"
    )]
    TooLarge {
        /// The size of the request.
        bytes: usize,
    },
    /// One of the commands is invalid.
    #[error("command {index}: {error}")]
    Command {
        /// The index of the command in the batch, from 0.
        index: usize,
        /// The error in the command.
        error: CommandError,
    },
}

const MEMBERS: [&str; 4] = ["command", "commands", "home", "idempotency_key"];

impl CommandsRequest {
    /// Reads and checks a request.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        if !text.trim_start().starts_with('{') {
            let value: Value = serde_json::from_str(text).map_err(JsonError::from)?;
            let kind = kind_of(&value);
            return Err(shape(format!(
                "the request must be a JSON object; it is {kind}"
            )));
        }
        if text.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge { bytes: text.len() });
        }
        let members = Members::parse(text)?;
        if let Some(name) = members.names().find(|name| !MEMBERS.contains(name)) {
            return Err(shape(format!(
                "the request has the unknown member {}; it takes `command` or `commands`, `home` and `idempotency_key`",
                shown(name)
            )));
        }
        let commands = commands(&members)?
            .into_iter()
            .enumerate()
            .map(|(index, command)| {
                Command::parse(command.get()).map_err(|error| match error {
                    CommandError::NotJson(error) => error.into(),
                    error => RequestError::Command { index, error },
                })
            })
            .collect::<Result<Arc<[Command]>, _>>()?;
        // The limit applies to the frame that is sent. Its size differs from the size of the request.
        let bytes = commands.iter().map(Command::frame_bytes).sum();
        if bytes > MAX_FRAME_BYTES {
            return Err(RequestError::TooLarge { bytes });
        }
        Ok(Self {
            commands,
            home: home(&members)?,
            idempotency_key: idempotency_key(&members)?,
        })
    }
}

fn home(members: &Members<'_>) -> Result<Option<HomeName>, RequestError> {
    let Some(raw) = members.value("home") else {
        return Ok(None);
    };
    serde_json::from_str::<String>(raw.get())
        .ok()
        .and_then(|name| HomeName::new(&name))
        .map(Some)
        .ok_or_else(|| {
            shape("`home` must be the name of a home: 1 to 64 letters, digits and . - _".into())
        })
}

fn idempotency_key(members: &Members<'_>) -> Result<Option<IdempotencyKey>, RequestError> {
    let Some(raw) = members.value("idempotency_key") else {
        return Ok(None);
    };
    serde_json::from_str(raw.get())
        .ok()
        .and_then(IdempotencyKey::new)
        .map(Some)
        .ok_or_else(|| shape("`idempotency_key` must be a string of 1 to 255 characters".into()))
}

fn commands<'a>(members: &Members<'a>) -> Result<Vec<&'a RawValue>, RequestError> {
    let both = ["command", "commands"].map(|name| members.get(name));
    let given = match both.into() {
        // A member with the value null counts as absent.
        (Some(_), Some(_)) if members.holds("command") != members.holds("commands") => {
            (members.value("command"), members.value("commands"))
        }
        both => both,
    };
    let commands = match given {
        (Some(command), None) => vec![command],
        (None, Some(commands)) => {
            let listed: Result<Vec<&RawValue>, _> = serde_json::from_str(commands.get());
            match listed {
                Ok(listed) => listed,
                Err(error) if commands.get().starts_with('[') => {
                    return Err(JsonError::from(error).into());
                }
                Err(_) => {
                    let value: Value =
                        serde_json::from_str(commands.get()).map_err(JsonError::from)?;
                    let kind = kind_of(&value);
                    return Err(shape(format!("`commands` must be an array; it is {kind}")));
                }
            }
        }
        (Some(_), Some(_)) => {
            return Err(shape(
                "the request has `command` and `commands`; send one of them, not both".into(),
            ));
        }
        (None, None) => {
            return Err(shape(
                "the request has neither `command` nor `commands`; send one of them".into(),
            ));
        }
    };
    if commands.is_empty() || commands.len() > MAX_COMMANDS {
        return Err(shape(format!(
            "`commands` must hold 1 to {MAX_COMMANDS} commands; it holds {}",
            commands.len()
        )));
    }
    Ok(commands)
}

fn shape(message: String) -> RequestError {
    RequestError::Shape(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn request_holds_one_command_or_a_batch() {
        let one = CommandsRequest::parse(r#"{"command":{"type":"get_states"}}"#).unwrap();
        assert_eq!(one.commands.len(), 1);
        assert_eq!(one.commands[0].kind(), "get_states");
        let batch = json!({"commands": vec![json!({"type": "ping"}); MAX_COMMANDS]});
        assert_eq!(
            CommandsRequest::parse(&batch.to_string())
                .unwrap()
                .commands
                .len(),
            MAX_COMMANDS
        );
    }

    #[test]
    fn null_members_are_absent() {
        let command = r#"{"type":"ping"}"#;
        for text in [
            format!(r#"{{"command":{command},"home":null,"idempotency_key":null}}"#),
            format!(r#"{{"command":{command},"commands":null}}"#),
            format!(r#"{{"command":null,"commands":[{command}]}}"#),
        ] {
            let request = CommandsRequest::parse(&text).unwrap();
            assert_eq!(request.commands.len(), 1, "{text}");
            assert_eq!(
                (request.home, request.idempotency_key),
                (None, None),
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_request_error_names_the_fault() {
        let deep = format!(
            r#"{{"command":{{"type":"x","a":{}{}}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let many = json!({"commands": vec![json!({"type": "ping"}); MAX_COMMANDS + 1]}).to_string();
        for (text, part) in [
            ("", "ends too early"),
            ("[]", "an array"),
            ("5", "a number"),
            ("{", "ends too early"),
            ("{]", "syntax error"),
            (r#"{"command":{"type":"x"},"command":{}}"#, "twice"),
            ("{}", "neither"),
            (r#"{"comand":{}}"#, "`comand`"),
            (r#"{"command":{"type":"x"},"commands":[]}"#, "not both"),
            (r#"{"commands":{}}"#, "an object"),
            (r#"{"commands":[]}"#, "it holds 0"),
            (&many, "it holds 101"),
            (
                r#"{"command":"get_states"}"#,
                "command 0: a command is a JSON object",
            ),
            (r#"{"commands":[{"type":"x"},{}]}"#, "command 1: "),
            (r#"{"command":{"type":"x","id":1}}"#, "no `id`"),
            (r#"{"command":{"type":"x"},"home":"a/b"}"#, "`home`"),
            (r#"{"command":{"type":"x"},"home":1}"#, "`home`"),
            (
                r#"{"command":{"type":"x"},"idempotency_key":""}"#,
                "1 to 255",
            ),
            (
                r#"{"command":{"type":"x"},"idempotency_key":7}"#,
                "1 to 255",
            ),
            (&deep, "128 levels"),
        ] {
            let error = CommandsRequest::parse(text).unwrap_err().to_string();
            let start: String = text.chars().take(80).collect();
            assert!(error.contains(part), "{start}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = CommandsRequest::parse(&text);
        }

        #[test]
        fn arbitrary_members_never_panic(
            name in "command|commands|home|idempotency_key",
            value in r#"\{"type":"[a-z]*"\}|\[[0-9,]*\]|"[a-z]*"|null|-?[0-9]{1,40}"#,
        ) {
            let _ = CommandsRequest::parse(&format!("{{\"{name}\":{value}}}"));
        }
    }
}
