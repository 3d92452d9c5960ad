//! The messages of clients, as a tagged union. A message that cannot be parsed becomes an error frame.

use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::base::json::{JsonError, Members, kind_of_text, shown};
use crate::home::home_assistant::{Command, CommandError};
use crate::service::connections::Dialect;
use crate::service::failure::MessageError;

/// The largest number of messages in one frame.
pub(super) const MAX_MESSAGES: usize = 100;

/// The longest id, as JSON. An id comes back in the answer.
const MAX_ID_BYTES: usize = 256;

/// The messages of one frame.
pub(super) struct Incoming {
    pub(super) messages: Vec<Message>,
    /// True if the frame is an array.
    pub(super) is_array: bool,
}

/// One message.
pub(super) struct Message {
    /// The dialect that the message shows. `None` if it shows none.
    pub(super) dialect: Option<Dialect>,
    /// The id as the client wrote it, or `null`.
    pub(super) id: Box<str>,
    pub(super) content: Result<Content, MessageError>,
}

/// The content of a message.
pub(super) enum Content {
    /// A token.
    Auth(SecretString),
    /// A question whether the connection works.
    Ping,
    /// The features that the client supports.
    Features {
        /// True if the client takes several messages in one frame.
        coalesces: bool,
    },
    /// Resources whose events the client wants.
    Watch(Vec<String>),
    /// Resources whose events the client does not want any more.
    Unwatch(Vec<String>),
    /// A command of Home Assistant's API.
    Command(Command),
}

impl Incoming {
    /// Parses a frame.
    pub(super) fn parse(text: &str) -> Self {
        if !text.trim_start().starts_with('[') {
            return Self {
                messages: vec![Message::parse(text)],
                is_array: false,
            };
        }
        let listed: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
        let messages = match listed {
            Ok(listed) if (1..=MAX_MESSAGES).contains(&listed.len()) => {
                let messages = listed.into_iter();
                messages.map(|raw| Message::parse(raw.get())).collect()
            }
            Ok(listed) => vec![Message::unreadable(MessageError::Count(listed.len()))],
            Err(error) => vec![Message::unreadable(JsonError::from(error).into())],
        };
        Self {
            messages,
            is_array: true,
        }
    }

    /// Returns the only message of a frame that cannot be read.
    pub(super) fn unreadable(error: MessageError) -> Self {
        Self {
            messages: vec![Message::unreadable(error)],
            is_array: false,
        }
    }

    /// Returns the id of the first message.
    pub(super) fn first_id(&self) -> &str {
        self.messages.first().map_or("null", |message| &message.id)
    }

    /// Returns the dialect of the first message that shows one.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        self.messages.iter().find_map(|message| message.dialect)
    }
}

impl Message {
    fn unreadable(error: MessageError) -> Self {
        Self {
            dialect: None,
            id: "null".into(),
            content: Err(error),
        }
    }

    fn parse(text: &str) -> Self {
        if !text.trim_start().starts_with('{') {
            let checked: Result<&RawValue, _> = serde_json::from_str(text);
            return Self::unreadable(match checked {
                Ok(raw) => MessageError::NotAnObject(kind_of_text(raw.get())),
                Err(error) => JsonError::from(error).into(),
            });
        }
        let members = match Members::parse(text) {
            Ok(members) => members,
            Err(error) => return Self::unreadable(error.into()),
        };
        let raw_id = members.value("id").map(RawValue::get);
        let is_text = raw_id.is_some_and(|id| id.starts_with('"'));
        let is_number = raw_id.is_some_and(|id| id.starts_with(|c: char| c.is_ascii_digit()));
        let is_envelope = is_text || members.has("payload") || members.has("timestamp");
        let dialect = match is_envelope {
            true => Dialect::Envelope,
            false => Dialect::HomeAssistant,
        };
        let is_readable =
            raw_id.is_none_or(|id| id.len() <= MAX_ID_BYTES && (is_text || is_number));
        let content = match is_readable {
            true => match dialect {
                Dialect::Envelope => of_envelope(&members),
                Dialect::HomeAssistant => of_home_assistant(&members, raw_id),
            },
            false => Err(MessageError::Id),
        };
        // A text that is not a message of Home Assistant's protocol shows no dialect.
        let shows = is_envelope || members.has("type");
        Self {
            dialect: shows.then_some(dialect),
            id: raw_id.filter(|_| is_readable).unwrap_or("null").into(),
            content,
        }
    }
}

fn kind(members: &Members<'_>) -> Result<String, MessageError> {
    members
        .word("type")
        .filter(|kind| !kind.trim().is_empty())
        .ok_or(MessageError::NoType)
}

/// Reads a message of Home Assistant's own protocol. Its members are those of the command.
fn of_home_assistant(members: &Members<'_>, id: Option<&str>) -> Result<Content, MessageError> {
    let kind = kind(members)?;
    if kind == "auth" {
        let token = members
            .text("access_token")
            .ok_or(MessageError::NoToken("access_token"))?;
        return Ok(Content::Auth(token.into()));
    }
    // Home Assistant's ids are positive whole numbers.
    let is_whole = |id: &str| id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
    if !id.is_some_and(is_whole) {
        return Err(MessageError::HomeAssistantId);
    }
    if kind == "supported_features" {
        let coalesces = members
            .object("features")
            .get("coalesce_messages")
            .map(RawValue::get);
        return Ok(Content::Features {
            coalesces: coalesces.is_some_and(|value| !matches!(value, "0" | "false" | "null")),
        });
    }
    content(&kind, &members.text_without(&["id"]))
}

/// Reads a message of the envelope. Its payload has the members of the command.
fn of_envelope(members: &Members<'_>) -> Result<Content, MessageError> {
    const KNOWN: [&str; 4] = ["type", "id", "timestamp", "payload"];
    let kind = kind(members)?;
    if let Some(name) = members.names().find(|name| !KNOWN.contains(name)) {
        return Err(MessageError::UnknownMember(shown(name)));
    }
    let payload = match members.value("payload") {
        None => Members::default(),
        Some(raw) if raw.get().starts_with('{') => Members::parse(raw.get())?,
        Some(raw) => return Err(MessageError::Payload(kind_of_text(raw.get()))),
    };
    if kind == "auth" {
        let token = payload
            .text("token")
            .ok_or(MessageError::NoToken("payload.token"))?;
        return Ok(Content::Auth(token.into()));
    }
    match kind.as_str() {
        "watch" => return Ok(Content::Watch(resources(&payload)?)),
        "unwatch" => return Ok(Content::Unwatch(resources(&payload)?)),
        _ => {}
    }
    if payload.has("type") {
        return Err(MessageError::TypeInPayload);
    }
    // Serialising a string never fails.
    let kind_json = serde_json::to_string(&kind).unwrap_or_default();
    let rest = payload.text_without(&[]);
    let rest = rest.strip_prefix('{').unwrap_or(&rest);
    let comma = if rest == "}" { "" } else { "," };
    content(&kind, &format!("{{\"type\":{kind_json}{comma}{rest}"))
}

/// Returns the resources that a message names.
fn resources(payload: &Members<'_>) -> Result<Vec<String>, MessageError> {
    let raw = payload.value("resources").ok_or(MessageError::Resources)?;
    let resources: Vec<String> =
        serde_json::from_str(raw.get()).map_err(|_| MessageError::Resources)?;
    let is_name = |name: &String| (1..=255).contains(&name.len());
    match (1..=MAX_MESSAGES).contains(&resources.len()) && resources.iter().all(is_name) {
        true => Ok(resources),
        false => Err(MessageError::Resources),
    }
}

fn content(kind: &str, command: &str) -> Result<Content, MessageError> {
    if kind == "ping" {
        return Ok(Content::Ping);
    }
    match Command::parse(command) {
        Ok(command) => Ok(Content::Command(command)),
        Err(CommandError::NotJson(error)) => Err(error.into()),
        Err(error) => Err(MessageError::Command(error)),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn one(text: &str) -> Message {
        let mut incoming = Incoming::parse(text);
        assert_eq!(incoming.messages.len(), 1, "{text}");
        incoming.messages.remove(0)
    }

    #[test]
    fn shape_of_a_message_shows_its_dialect() {
        for (text, dialect, id) in [
            (
                r#"{"id":5,"type":"get_states"}"#,
                Some(Dialect::HomeAssistant),
                "5",
            ),
            (
                r#"{"type":"auth","access_token":"x"}"#,
                Some(Dialect::HomeAssistant),
                "null",
            ),
            (
                r#"{"id":"a\u00e9","type":"get_states"}"#,
                Some(Dialect::Envelope),
                r#""a\u00e9""#,
            ),
            (
                r#"{"id":7,"type":"get_states","payload":{}}"#,
                Some(Dialect::Envelope),
                "7",
            ),
            (
                r#"{"type":"ping","timestamp":"2026-01-01T00:00:00Z"}"#,
                Some(Dialect::Envelope),
                "null",
            ),
            ("{}", None, "null"),
            ("null", None, "null"),
            ("", None, "null"),
            (
                r#"{"id":{},"type":"x"}"#,
                Some(Dialect::HomeAssistant),
                "null",
            ),
        ] {
            let message = one(text);
            assert_eq!((message.dialect, &*message.id), (dialect, id), "{text}");
        }
    }

    #[test]
    fn command_has_the_same_members_in_both_dialects() {
        let plain = r#"{"id":3,"type":"call_service","domain":"light","service":"toggle","x":1.0}"#;
        let envelope = r#"{"id":"3","type":"call_service","timestamp":"t",
            "payload":{"domain":"light","service":"toggle","x":1.0}}"#;
        for text in [plain, envelope] {
            let Ok(Content::Command(command)) = one(text).content else {
                panic!("{text}");
            };
            assert_eq!(command.kind(), "call_service");
            assert_eq!(command.get("service").unwrap(), "toggle");
            assert!(command.get("id").is_none() && command.get("timestamp").is_none());
        }
        let Ok(Content::Command(command)) = one(r#"{"id":"3","type":"get_states"}"#).content else {
            panic!("no command");
        };
        assert_eq!(command.kind(), "get_states");
    }

    #[test]
    fn token_is_read_in_both_dialects() {
        for text in [
            r#"{"type":"auth","access_token":"t"}"#,
            r#"{"type":"auth","id":"1","timestamp":"x","payload":{"token":"t"}}"#,
        ] {
            let Ok(Content::Auth(token)) = one(text).content else {
                panic!("{text}");
            };
            assert_eq!(token.expose_secret(), "t");
        }
    }

    #[test]
    fn features_tell_whether_messages_are_coalesced() {
        for (features, expected) in [
            (r#"{"coalesce_messages":1}"#, true),
            (r#"{"coalesce_messages":0}"#, false),
            ("{}", false),
            ("5", false),
        ] {
            let text = format!(r#"{{"id":1,"type":"supported_features","features":{features}}}"#);
            let Ok(Content::Features { coalesces }) = one(&text).content else {
                panic!("{text}");
            };
            assert_eq!(coalesces, expected, "{features}");
        }
    }

    #[test]
    fn malformed_message_is_named() {
        let deep = format!(
            r#"{{"id":1,"type":"x","a":{}{}}}"#,
            "[".repeat(50_000),
            "]".repeat(50_000)
        );
        let many = format!("[{}1]", "1,".repeat(MAX_MESSAGES));
        for (text, part) in [
            ("", "ends too early"),
            ("{", "ends too early"),
            ("5", "a number"),
            (r#""x""#, "a string"),
            ("[]", "0 messages"),
            (&many, "101 messages"),
            ("[{]", "syntax error"),
            ("{}", "`type`"),
            (r#"{"type":5}"#, "`type`"),
            (r#"{"type":"get_states"}"#, "positive whole number"),
            (r#"{"type":"get_states","id":0}"#, "positive whole number"),
            (r#"{"type":"get_states","id":1.5}"#, "positive whole number"),
            (r#"{"type":"get_states","id":-1}"#, "`id`"),
            (r#"{"type":"get_states","id":[1]}"#, "`id`"),
            (r#"{"type":"auth"}"#, "access_token"),
            (r#"{"type":"auth","id":"1","payload":{}}"#, "payload.token"),
            (r#"{"type":"x","id":"1","payload":[]}"#, "an array"),
            (r#"{"type":"x","id":"1","domain":"light"}"#, "`domain`"),
            (
                r#"{"type":"x","id":"1","payload":{"type":"y"}}"#,
                "`payload`",
            ),
            (r#"{"type":"x","id":1,"id":2}"#, "twice"),
            (r#"{"id":1,"type":"subscribe_events"}"#, "stream of events"),
            (&deep, "128 levels"),
        ] {
            let Err(error) = one(text).content else {
                panic!("{text}");
            };
            let error = error.to_string();
            let start: String = text.chars().take(80).collect();
            assert!(error.contains(part), "{start}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = Incoming::parse(&text);
        }

        #[test]
        fn arbitrary_members_never_panic(
            name in "type|id|payload|timestamp|access_token|features",
            value in r#"\{"[a-z]*":[0-9]\}|\[[0-9,]*\]|"[a-z._/]*"|null|true|-?[0-9]{1,40}"#,
        ) {
            let _ = Incoming::parse(&format!("{{\"type\":\"x\",\"{name}\":{value}}}"));
            let _ = Incoming::parse(&format!("[{{\"{name}\":{value}}}]"));
        }
    }
}
