//! Home Assistant's WebSocket messages, in both directions.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use tokio_tungstenite::tungstenite::Utf8Bytes;
use zeroize::Zeroizing;

use crate::base::json::{JsonError, kind_of, shown, unambiguous};
use crate::base::secret::AccessToken;

/// A command from a caller: a JSON object with a `type` and without an `id`.
///
/// Checks use the parsed members. The home gets the original text, so numbers and strings stay as the caller wrote
/// them.
#[derive(Clone, Debug)]
pub struct Command {
    members: Map<String, Value>,
    /// The text of the object, from its opening brace to its closing brace.
    text: Arc<str>,
}

/// Commands with equal members are equal, even if their texts differ.
impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

/// The reason why latchkey rejects a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The text is not JSON, or an object in it has the same member twice and is ambiguous.
    #[error("the command is not usable JSON ({0})")]
    NotJson(#[from] JsonError),
    /// The command is not an object.
    #[error("a command is a JSON object; this is {0}")]
    NotAnObject(&'static str),
    /// The command has no `type`, or its `type` is not a non-empty string.
    #[error("the command has no usable `type`; set it to a non-empty string like \"call_service\"")]
    NoType,
    /// The command has an `id`.
    #[error("a command must have no `id`: latchkey numbers commands itself; leave `id` out")]
    HasId,
    /// The command would change or end the session that all callers share.
    #[error("{0} is not allowed: it would change the session that all callers share")]
    ChangesSession(String),
    /// The home answers the command with events for as long as the connection is open.
    #[error(
        "{0} is not supported: it returns a stream of events over an open connection; a command gets one response here"
    )]
    Streams(String),
}

impl Command {
    /// Parses and checks a command.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        Self::checked(unambiguous(text)?, text.trim())
    }

    /// Checks a command that latchkey itself builds.
    pub fn new(value: Value) -> Result<Self, CommandError> {
        let text = value.to_string();
        Self::checked(value, &text)
    }

    fn checked(value: Value, text: &str) -> Result<Self, CommandError> {
        let Value::Object(members) = value else {
            return Err(CommandError::NotAnObject(kind_of(&value)));
        };
        let Some(Value::String(kind)) = members.get("type") else {
            return Err(CommandError::NoType);
        };
        if kind.trim().is_empty() {
            return Err(CommandError::NoType);
        }
        if members.contains_key("id") {
            return Err(CommandError::HasId);
        }
        match kind.as_str() {
            "auth" | "supported_features" => return Err(CommandError::ChangesSession(shown(kind))),
            "render_template" => return Err(CommandError::Streams(shown(kind))),
            _ if kind
                .split('/')
                .any(|part| part == "subscribe" || part.starts_with("subscribe_")) =>
            {
                return Err(CommandError::Streams(shown(kind)));
            }
            _ => {}
        }
        let text = text.into();
        Ok(Self { members, text })
    }

    /// Returns the text of the command.
    pub(super) fn text(&self) -> Arc<str> {
        self.text.clone()
    }

    /// Returns the command's size in a frame, in bytes, including its id.
    pub fn frame_bytes(&self) -> usize {
        self.text.len() + MAX_ID_BYTES
    }

    /// Returns commands as one text. Equal commands give the same text, regardless of the order of their members.
    pub(crate) fn canonical(commands: &[Self]) -> String {
        let values: Vec<_> = commands.iter().map(|command| &command.members).collect();
        // Serialising maps with string keys never fails.
        serde_json::to_string(&values).unwrap_or_default()
    }

    /// Returns one member of the command.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Returns true if the home's answer may contain a token, so that it must not be stored.
    pub fn may_yield_a_token(&self) -> bool {
        self.kind().starts_with("auth/")
    }

    /// Returns the command's `type`, for example `call_service`.
    pub fn kind(&self) -> &str {
        self.members
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// An upper bound, in bytes, for the additions to a command in a frame: `{"id":18446744073709551615,` and a comma.
const MAX_ID_BYTES: usize = 32;

/// Returns the text of one frame: one command or a list of commands, with ids from `first_id`.
pub(super) fn frame(commands: &[Arc<str>], first_id: u64) -> String {
    let bytes: usize = commands.iter().map(|text| text.len() + MAX_ID_BYTES).sum();
    let mut frame = String::with_capacity(bytes + 2);
    let is_list = commands.len() != 1;
    frame.extend(is_list.then_some('['));
    for (id, command) in (first_id..).zip(commands) {
        if id != first_id {
            frame.push(',');
        }
        // A command is an object with a `type`, so its first member follows the brace.
        let members = command.strip_prefix('{').unwrap_or(command);
        frame.push_str("{\"id\":");
        frame.push_str(&id.to_string());
        frame.push(',');
        frame.push_str(members);
    }
    frame.extend(is_list.then_some(']'));
    frame
}

/// Returns the text of the `auth` message.
pub(super) fn auth_frame(token: &AccessToken) -> serde_json::Result<Zeroizing<String>> {
    #[derive(Serialize)]
    struct Auth<'a> {
        r#type: &'static str,
        access_token: &'a str,
    }
    serde_json::to_string(&Auth {
        r#type: "auth",
        access_token: token.expose(),
    })
    .map(Zeroizing::new)
}

/// The home's answer to one command.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The command succeeded. The result is the home's original JSON.
    Success(Option<JsonSlice>),
    /// The home rejected the command, or the command failed.
    Failure(CommandFailure),
}

/// A JSON value inside a frame. The value keeps the frame and does not copy it, because a reply may be megabytes.
#[derive(Clone)]
pub struct JsonSlice {
    frame: Utf8Bytes,
    range: Range<usize>,
}

/// The output does not contain the text, because an answer may contain a token.
impl fmt::Debug for JsonSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonSlice({} bytes)", self.range.len())
    }
}

impl JsonSlice {
    /// Creates the slice of `raw`, which must have been parsed from `frame`.
    fn new(frame: &Utf8Bytes, raw: &RawValue) -> Option<Self> {
        let start = (raw.get().as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
        let range = start..start + raw.get().len();
        frame.get(range.clone())?;
        Some(Self {
            frame: frame.clone(),
            range,
        })
    }

    /// Creates a value from a text.
    pub fn from_text(text: String) -> Self {
        Self {
            range: 0..text.len(),
            frame: text.into(),
        }
    }

    /// Returns the value's bytes without copying them.
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from(self.frame).slice(self.range)
    }

    /// Returns the value's text.
    pub fn get(&self) -> &str {
        self.frame.get(self.range.clone()).unwrap_or_default()
    }
}

impl Serialize for JsonSlice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.get()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The error that the home returned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CommandFailure {
    /// The error code, for example `not_found`.
    #[serde(default)]
    pub code: String,
    /// The error text.
    #[serde(default)]
    pub message: String,
}

/// One message from the home.
#[derive(Debug)]
pub(super) enum Incoming {
    AuthRequired,
    AuthOk {
        version: String,
    },
    AuthInvalid,
    Answer {
        id: u64,
        answer: Answer,
    },
    /// Events and other messages that are ignored.
    Other,
}

/// The error of a frame that is not in Home Assistant's format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame is not a message of Home Assistant")]
pub(super) struct Malformed;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    r#type: std::borrow::Cow<'a, str>,
    id: Option<u64>,
    success: Option<bool>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<CommandFailure>,
    ha_version: Option<String>,
}

/// Parses a frame: one message or a list of messages.
pub(super) fn parse(frame: &Utf8Bytes) -> Result<Vec<Incoming>, Malformed> {
    if frame.trim_start().starts_with('[') {
        let list: Vec<Envelope<'_>> = serde_json::from_str(frame).map_err(|_| Malformed)?;
        list.into_iter().map(|one| one.read(frame)).collect()
    } else {
        let one: Envelope<'_> = serde_json::from_str(frame).map_err(|_| Malformed)?;
        Ok(vec![one.read(frame)?])
    }
}

impl Envelope<'_> {
    fn read(self, frame: &Utf8Bytes) -> Result<Incoming, Malformed> {
        Ok(match (&*self.r#type, self.id) {
            ("auth_required", _) => Incoming::AuthRequired,
            ("auth_ok", _) => Incoming::AuthOk {
                version: self.ha_version.unwrap_or_default(),
            },
            ("auth_invalid", _) => Incoming::AuthInvalid,
            ("pong", Some(id)) => Incoming::Answer {
                id,
                answer: Answer::Success(None),
            },
            ("result", Some(id)) => Incoming::Answer {
                id,
                answer: match self.success {
                    Some(true) => {
                        Answer::Success(self.result.and_then(|raw| JsonSlice::new(frame, raw)))
                    }
                    Some(false) => Answer::Failure(self.error.unwrap_or(CommandFailure {
                        code: "unknown_error".into(),
                        message: "Home Assistant gave no reason".into(),
                    })),
                    None => return Err(Malformed),
                },
            },
            _ => Incoming::Other,
        })
    }
}

#[cfg(test)]
mod tests;
