//! Home Assistant's WebSocket messages: what is sent, what comes back.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use tokio_tungstenite::tungstenite::Utf8Bytes;
use zeroize::Zeroizing;

use crate::base::json::{JsonError, kind_of, shown, unambiguous};
use crate::base::secret::AccessToken;

/// A command as a caller gives it: a JSON object with a `type` and without an `id`.
///
/// Decisions are made on its members. The home gets its text, in which numbers and strings stand as they were written.
#[derive(Clone, Debug)]
pub struct Command {
    members: Map<String, Value>,
    /// The object's text, from its opening brace to its closing one.
    text: String,
}

/// Two texts of the same members are the same command.
impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

/// Why something is not a command latchkey sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not JSON, or an object in it holds a member twice, so that it could be read in two ways.
    #[error("it is not usable JSON ({0})")]
    NotJson(#[from] JsonError),
    /// Not an object.
    #[error("a command is a JSON object; this is {0}")]
    NotAnObject(&'static str),
    /// No `type`, or one that is not a word.
    #[error("a command has a `type`, a non-empty string like \"call_service\"; this one has not")]
    NoType,
    /// An `id` of the caller's own.
    #[error("a command has no `id`: latchkey numbers commands itself; leave it out")]
    HasId,
    /// One that would change or end the session that all callers share.
    #[error("{0} is not for callers: it would change the session that all of them share")]
    ChangesSession(String),
    /// One that is answered by events for as long as the connection lives.
    #[error(
        "{0} is answered by a stream of events, which needs a connection that stays; one command gets one answer here"
    )]
    Streams(String),
}

impl Command {
    /// Checks a command's text.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        Self::checked(unambiguous(text)?, text.trim().to_owned())
    }

    /// Checks a command that is made here.
    pub fn new(value: Value) -> Result<Self, CommandError> {
        let text = value.to_string();
        Self::checked(value, text)
    }

    fn checked(value: Value, text: String) -> Result<Self, CommandError> {
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
        Ok(Self { members, text })
    }

    /// How many bytes it has in a frame, its number included.
    pub fn frame_bytes(&self) -> usize {
        self.text.len() + MAX_NUMBER_BYTES
    }

    /// Commands as one text, the same for the same commands however their members were ordered.
    pub(crate) fn canonical(commands: &[Self]) -> String {
        let values: Vec<_> = commands.iter().map(|command| &command.members).collect();
        // Maps of values with keys that are strings: nothing that JSON could not hold.
        serde_json::to_string(&values).unwrap_or_default()
    }

    /// One of its members.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Whether the home's answer may hold a token, so that it must be kept nowhere.
    pub fn may_yield_a_token(&self) -> bool {
        self.kind().starts_with("auth/")
    }

    /// What it asks for, like `call_service`.
    pub fn kind(&self) -> &str {
        self.members
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// More bytes than a command's number and what goes around the command take in a frame: `{"id":18446744073709551615,`
/// and a comma.
const MAX_NUMBER_BYTES: usize = 32;

/// The text of one frame: a command, or a list of them, numbered from `first_id` on.
pub(super) fn frame(commands: &[Command], first_id: u64) -> String {
    let bytes: usize = commands.iter().map(Command::frame_bytes).sum();
    let mut frame = String::with_capacity(bytes + 2);
    let is_list = commands.len() != 1;
    frame.extend(is_list.then_some('['));
    for (id, command) in (first_id..).zip(commands) {
        if id != first_id {
            frame.push(',');
        }
        // An object with a `type`: what follows the brace is its first member.
        let members = command.text.strip_prefix('{').unwrap_or(&command.text);
        frame.push_str("{\"id\":");
        frame.push_str(&id.to_string());
        frame.push(',');
        frame.push_str(members);
    }
    frame.extend(is_list.then_some(']'));
    frame
}

/// The first message of a client.
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
    /// It was done; the result is the home's own JSON.
    Success(Option<JsonSlice>),
    /// The home refused it or failed.
    Failure(CommandFailure),
}

/// A JSON value inside a frame, which it keeps: a reply may be megabytes, so it is not copied out.
#[derive(Clone)]
pub struct JsonSlice {
    frame: Utf8Bytes,
    range: Range<usize>,
}

/// Without the text: what a home answers may be a token.
impl fmt::Debug for JsonSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonSlice({} bytes)", self.range.len())
    }
}

impl JsonSlice {
    /// `raw` must have been read from `frame`.
    fn new(frame: &Utf8Bytes, raw: &RawValue) -> Option<Self> {
        let start = (raw.get().as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
        let range = start..start + raw.get().len();
        frame.get(range.clone())?;
        Some(Self {
            frame: frame.clone(),
            range,
        })
    }

    /// A value of its own.
    pub fn from_text(text: String) -> Self {
        Self {
            range: 0..text.len(),
            frame: text.into(),
        }
    }

    /// The value's bytes, without copying them.
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from(self.frame).slice(self.range)
    }

    /// The value's text.
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

/// The home's own error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CommandFailure {
    /// Its code, like `not_found`.
    #[serde(default)]
    pub code: String,
    /// Its text.
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
    /// Events and whatever else is of no concern here.
    Other,
}

/// A frame that is not Home Assistant's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of Home Assistant")]
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

/// Reads a frame: one message, or a list of them.
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
