//! Faults of WebSockets.

use std::time::Duration;

/// A stage in the life of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketStage {
    /// The upgrade request is received; no response is sent.
    Upgrade,
    /// 101 is sent; `auth_required` is not sent.
    AuthRequired,
    /// `auth` is received; the token is not checked and no response is sent.
    Auth,
    /// `auth_ok` is sent.
    AuthOk,
    /// A command is received; it is not executed.
    Command,
    /// A command is executed; its result is not sent.
    Reply,
}

impl SocketStage {
    /// Every stage, in order.
    pub const ALL: [Self; 6] = [
        Self::Upgrade,
        Self::AuthRequired,
        Self::Auth,
        Self::AuthOk,
        Self::Command,
        Self::Reply,
    ];
}

/// A way to break a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Sends nothing more, except pongs. Still reads.
    Hang,
    /// Closes the TCP connection (FIN) without a close frame.
    Close,
    /// Sends a close frame with this code, then closes. At [`SocketStage::Upgrade`] this is the same
    /// as [`Break::Close`].
    CloseFrame(u16),
    /// Resets the TCP connection (RST).
    Reset,
    /// Never reads or writes again.
    HalfOpen,
}

impl Break {
    /// Every way to break a WebSocket, with close codes 1000, 1001 and 1011.
    pub const ALL: [Self; 7] = [
        Self::Hang,
        Self::Close,
        Self::CloseFrame(1000),
        Self::CloseFrame(1001),
        Self::CloseFrame(1011),
        Self::Reset,
        Self::HalfOpen,
    ];
}

/// A response to an upgrade in place of 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This status and a body like Home Assistant's.
    Status(u16),
    /// 302 to a login page.
    Redirect,
    /// 200 and an HTML page.
    Html,
    /// 101 with a wrong `Sec-WebSocket-Accept`.
    WrongAccept,
}

impl Refusal {
    /// Returns every refusal, with typical statuses.
    pub fn all() -> Vec<Self> {
        let mut refusals = vec![Self::Redirect, Self::Html, Self::WrongAccept];
        refusals.extend([400, 401, 403, 404, 500, 502, 503].map(Self::Status));
        refusals
    }
}

/// Data that replaces an expected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// Text that is not JSON.
    Text,
    /// Truncated JSON.
    TruncatedJson,
    /// A JSON object that is not a message.
    OtherObject,
    /// A JSON number.
    Number,
    /// An empty JSON array.
    EmptyArray,
    /// JSON with 100,000 levels of nesting.
    DeepJson,
    /// An empty text frame.
    Empty,
    /// A binary frame.
    Binary,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// A frame with a reserved opcode.
    ReservedOpcode,
}

impl Junk {
    /// Every kind of junk.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::TruncatedJson,
        Self::OtherObject,
        Self::Number,
        Self::EmptyArray,
        Self::DeepJson,
        Self::Empty,
        Self::Binary,
        Self::NotUtf8,
        Self::ReservedOpcode,
    ];
}

/// A fault of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketFault {
    /// Responds to the upgrade with this refusal.
    Refuse(Refusal),
    /// Breaks the WebSocket at a stage.
    At(SocketStage, Break),
    /// Replaces `auth_required` ([`SocketStage::AuthRequired`]), `auth_ok` ([`SocketStage::Auth`],
    /// after the token is accepted) or a result ([`SocketStage::Reply`], after the command is
    /// executed). The WebSocket stays open. Has no effect at other stages.
    Junk(SocketStage, Junk),
    /// Responds to every token with `auth_invalid`, which counts as a failed login.
    AuthInvalid,
    /// Responds to every service call with `not_found`, as shortly after a start.
    ServicesMissing,
    /// Holds results until there are this many, then sends them in reverse order.
    OutOfOrder(usize),
    /// Holds results until there are this many, then sends them as one JSON array, even if the
    /// client did not ask for arrays.
    Coalesce(usize),
    /// Sends every message in frames of at most this many bytes.
    Fragment(usize),
    /// Like [`SocketFault::Fragment`], with a ping before every frame.
    FragmentWithPings(usize),
    /// Sends a ping before every message.
    Pings,
    /// Sends an unrequested event and an unrequested result before and after every result.
    Noise,
    /// Sends every result twice.
    DuplicateReply,
    /// Sends results one byte after each interval of this length.
    SlowReply(Duration),
    /// Sends results with this many bytes.
    HugeReply(usize),
    /// Executes commands, but responds with `success: false` and this error code.
    ErrorReply(&'static str),
}

impl SocketFault {
    /// Returns every WebSocket fault: each stage with each way to break, and each junk at each of its
    /// stages. Parameters have typical values.
    pub fn all() -> Vec<Self> {
        let mut faults: Vec<Self> = Refusal::all().into_iter().map(Self::Refuse).collect();
        for stage in SocketStage::ALL {
            for way in Break::ALL {
                let is_framed = matches!(way, Break::CloseFrame(_));
                if !(stage == SocketStage::Upgrade && is_framed) {
                    faults.push(Self::At(stage, way));
                }
            }
        }
        for stage in [
            SocketStage::AuthRequired,
            SocketStage::Auth,
            SocketStage::Reply,
        ] {
            faults.extend(Junk::ALL.map(|junk| Self::Junk(stage, junk)));
        }
        faults.extend([Self::AuthInvalid, Self::ServicesMissing]);
        faults.push(Self::SlowReply(Duration::from_millis(100)));
        faults.push(Self::HugeReply(64 << 20));
        faults.push(Self::ErrorReply("home_assistant_error"));
        faults.extend(Self::harmless());
        faults
    }

    /// Returns the faults that do not affect a correct client.
    pub fn harmless() -> Vec<Self> {
        vec![
            Self::OutOfOrder(1),
            Self::Coalesce(1),
            Self::Fragment(1),
            Self::Fragment(7),
            Self::FragmentWithPings(5),
            Self::Pings,
            Self::Noise,
            Self::DuplicateReply,
        ]
    }
}

/// A fault of commands of one type.
#[derive(Clone, Debug)]
pub(crate) struct CommandFault {
    pub(crate) command: String,
    pub(crate) stage: SocketStage,
    pub(crate) way: Break,
}
