//! The error of a message on a WebSocket connection.

use crate::base::json::JsonError;
use crate::home::home_assistant::CommandError;

/// The reason why latchkey does not accept a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The message is not text.
    #[error("the message cannot be read: {0}")]
    NotText(&'static str),
    /// The message is not JSON.
    #[error("the message cannot be parsed as JSON ({0})")]
    NotJson(#[from] JsonError),
    /// The message is not an object.
    #[error("a message is a JSON object; this is {0}")]
    NotAnObject(&'static str),
    /// A frame is an array with too many or too few messages.
    #[error("a frame can have 1 to 100 messages; this has {0} messages")]
    Count(usize),
    /// The message has no type.
    #[error("the message has no usable `type`; set it to a string like \"get_states\"")]
    NoType,
    /// The id has the wrong type, or it is too long.
    #[error("the message's `id` is not a string or a number of at most 256 bytes")]
    Id,
    /// The id is not one of Home Assistant's protocol.
    #[error("the message's `id` is missing, or it is not a positive whole number")]
    HomeAssistantId,
    /// The id was used before on this connection.
    #[error(
        "the message's `id` was used before on this connection; the message was not executed again"
    )]
    IdReused,
    /// An `auth` message has no token.
    #[error("the `auth` message has no string `{0}`")]
    NoToken(&'static str),
    /// A frame has an `auth` message beside other messages.
    #[error("an `auth` message must be the only message of its frame")]
    AuthInArray,
    /// A message of the envelope has a member that the envelope does not have.
    #[error("the message has the unknown member {0}; members of a command belong in `payload`")]
    UnknownMember(String),
    /// The payload is not an object.
    #[error("the message's `payload` is {0}; it must be an object")]
    Payload(&'static str),
    /// The payload has a type.
    #[error("the message's `payload` has a `type`; the message's own `type` names the command")]
    TypeInPayload,
    /// A message about watched resources names no resources, or too many.
    #[error(
        "the message's `payload.resources` must be an array of 1 to 100 strings, each of at most 255 bytes"
    )]
    Resources,
    /// The message is a command that latchkey rejects.
    #[error(transparent)]
    Command(CommandError),
}
