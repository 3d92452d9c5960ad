//! How a home can be told to misbehave.

use std::time::Duration;

use super::locked;
use std::sync::Mutex;

/// A fault of any kind. One of each kind can be armed at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Meets every new TCP connection.
    Connection(ConnectionFault),
    /// Meets every HTTP request but socket upgrades.
    Rest(RestFault),
    /// Meets socket upgrades and open sockets.
    Socket(SocketFault),
}

impl From<ConnectionFault> for Fault {
    fn from(fault: ConnectionFault) -> Self {
        Self::Connection(fault)
    }
}

impl From<RestFault> for Fault {
    fn from(fault: RestFault) -> Self {
        Self::Rest(fault)
    }
}

impl From<SocketFault> for Fault {
    fn from(fault: SocketFault) -> Self {
        Self::Socket(fault)
    }
}

/// What happens to a new TCP connection, before TLS and before any byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Closed (FIN).
    Close,
    /// Reset (RST).
    Reset,
    /// Never read and never written.
    Hang,
    /// Answered with bytes that are neither TLS nor HTTP, then closed.
    Garbage,
}

impl ConnectionFault {
    /// Every fault of a connection.
    pub fn all() -> Vec<Self> {
        vec![Self::Close, Self::Reset, Self::Hang, Self::Garbage]
    }
}

/// What happens instead of a true answer over REST. The token is not looked at, so none of these
/// is a failed login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestFault {
    /// Never answers.
    Hang,
    /// This status, with a body like Home Assistant's (`400: Bad Request`).
    Status(u16),
    /// 302 to a login page (which this home serves), as an access proxy does.
    Redirect,
    /// 200 with an HTML page, as a tunnel's login page.
    Html,
    /// 401 with `WWW-Authenticate: Basic`, as an access proxy asks for a login.
    Challenge,
    /// 200 with plain text, as something that is not Home Assistant.
    Text,
    /// 200, `application/json`, and a body that is not JSON.
    NotJson,
    /// 200 with `{}`.
    EmptyJson,
    /// 200 with the configuration but no `version`.
    NoVersion,
    /// 200 with a JSON array.
    JsonArray,
    /// Closes the connection (FIN) without an answer.
    Close,
    /// Resets the connection (RST) without an answer.
    Reset,
    /// Never reads or writes on the connection again.
    HalfOpen,
    /// Closes in the middle of the body.
    CutBody,
    /// The true configuration, one byte each time this has passed.
    SlowBody(Duration),
    /// 200 with JSON that has a version and this many bytes of filler.
    HugeBody(usize),
    /// Status line and then headers without end.
    EndlessHeaders,
}

impl RestFault {
    /// Every REST fault, those with a parameter with typical values.
    pub fn all() -> Vec<Self> {
        let mut faults = vec![
            Self::Hang,
            Self::Redirect,
            Self::Html,
            Self::Challenge,
            Self::Text,
            Self::NotJson,
            Self::EmptyJson,
            Self::NoVersion,
            Self::JsonArray,
            Self::Close,
            Self::Reset,
            Self::HalfOpen,
            Self::CutBody,
            Self::SlowBody(Duration::from_millis(100)),
            Self::HugeBody(64 << 20),
            Self::EndlessHeaders,
        ];
        faults.extend([400, 403, 404, 429, 500, 502, 503, 504, 520, 530].map(Self::Status));
        faults
    }
}

/// How far a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketStage {
    /// The upgrade request is in, nothing is answered.
    Upgrade,
    /// 101 is sent, `auth_required` is not.
    AuthRequired,
    /// `auth` is in, nothing is answered and the token is not looked at.
    Auth,
    /// `auth_ok` is sent.
    AuthOk,
    /// A command is in and is not executed.
    Command,
    /// A command is executed and not answered.
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

/// How a socket breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Goes silent, but still reads and answers pings.
    Hang,
    /// Closes the TCP connection (FIN) without a close frame.
    Close,
    /// Sends a close frame with this code, then closes. At [`SocketStage::Upgrade`] the same as
    /// [`Break::Close`].
    CloseFrame(u16),
    /// Resets the TCP connection (RST).
    Reset,
    /// Never reads or writes again.
    HalfOpen,
}

impl Break {
    /// Every way to break off, with close codes 1000, 1001 and 1011.
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

/// What is answered to an upgrade instead of 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This status, with a body like Home Assistant's.
    Status(u16),
    /// 302 to a login page.
    Redirect,
    /// 200 with an HTML page.
    Html,
    /// 101 with a wrong `Sec-WebSocket-Accept`.
    WrongAccept,
}

impl Refusal {
    /// Every refusal, with typical statuses.
    pub fn all() -> Vec<Self> {
        let mut refusals = vec![Self::Redirect, Self::Html, Self::WrongAccept];
        refusals.extend([400, 401, 403, 404, 500, 502, 503].map(Self::Status));
        refusals
    }
}

/// What is sent where a message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// Text that is not JSON.
    Text,
    /// JSON that ends in the middle.
    TruncatedJson,
    /// A JSON object that is no message.
    OtherObject,
    /// A JSON number.
    Number,
    /// An empty JSON array.
    EmptyArray,
    /// JSON nested 100,000 deep.
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

/// What happens to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketFault {
    /// The upgrade is answered with this.
    Refuse(Refusal),
    /// Breaks off at a stage.
    At(SocketStage, Break),
    /// Junk takes the place of `auth_required` ([`SocketStage::AuthRequired`]), of `auth_ok`
    /// ([`SocketStage::Auth`], the token found good) or of a reply ([`SocketStage::Reply`], the
    /// command executed); the socket then stays open. Without effect at other stages.
    Junk(SocketStage, Junk),
    /// Every token gets `auth_invalid`, which counts as a failed login.
    AuthInvalid,
    /// Every service is `not_found`, as in the moments after a start.
    ServicesMissing,
    /// Replies are held until this many are there and sent in reverse order.
    OutOfOrder(usize),
    /// Replies are held until this many are there and sent as one JSON array, asked for or not.
    Coalesce(usize),
    /// Every message is sent in frames of at most this many bytes.
    Fragment(usize),
    /// As [`SocketFault::Fragment`], with a ping before every frame.
    FragmentWithPings(usize),
    /// A ping comes before every message.
    Pings,
    /// Before and after every reply come an event and a result that nobody asked for.
    Noise,
    /// Every reply is sent twice.
    DuplicateReply,
    /// Replies are sent one byte each time this has passed.
    SlowReply(Duration),
    /// Replies hold a result of this many bytes.
    HugeReply(usize),
    /// Commands are executed, but answered with this error code and `success: false`.
    ErrorReply(&'static str),
}

impl SocketFault {
    /// Every socket fault: each stage with each way to break off, each junk where it can stand,
    /// and those with a parameter with typical values.
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

    /// The faults that a faithful client does not even notice.
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

/// What happens during commands of one type.
#[derive(Clone, Debug)]
pub(super) struct CommandFault {
    pub(super) command: String,
    pub(super) stage: SocketStage,
    pub(super) way: Break,
}

#[derive(Debug)]
struct Armed<F> {
    fault: F,
    /// How often it is still to strike; without end when absent.
    remaining: Option<u32>,
}

/// The fault of one kind that is armed now, if any.
#[derive(Debug)]
pub(super) struct Slot<F>(Mutex<Option<Armed<F>>>);

impl<F: Clone> Slot<F> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn arm(&self, fault: F, remaining: Option<u32>) {
        *locked(&self.0) = (remaining != Some(0)).then_some(Armed { fault, remaining });
    }

    pub(super) fn clear(&self) {
        *locked(&self.0) = None;
    }

    /// Whether this fault, or one like it, is armed, without using it up.
    pub(super) fn find<T>(&self, wanted: impl Fn(&F) -> Option<T>) -> Option<T> {
        locked(&self.0)
            .as_ref()
            .and_then(|armed| wanted(&armed.fault))
    }

    /// Takes the fault if it is wanted here, using up one of its times.
    pub(super) fn take<T>(&self, wanted: impl Fn(&F) -> Option<T>) -> Option<T> {
        let mut slot = locked(&self.0);
        let armed = slot.as_mut()?;
        let found = wanted(&armed.fault)?;
        if let Some(remaining) = &mut armed.remaining {
            *remaining -= 1;
            if *remaining == 0 {
                *slot = None;
            }
        }
        Some(found)
    }
}
