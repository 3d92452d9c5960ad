//! The events of a WebSocket API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::base::json::{MemberError, Members, Object};
use crate::doors::headers::all_headers;
use crate::doors::values::texts;
use crate::service::connections::{ConnectionId, Opening};

/// The longest id of a connection that is accepted. API Gateway's ids have 16 characters.
const MAX_ID_BYTES: usize = 128;

/// An event of a WebSocket API.
pub(super) struct Event {
    pub(super) id: ConnectionId,
    domain: String,
    api: String,
    stage: String,
    source: String,
    pub(super) kind: Kind,
}

/// The kind of an event, with the members that only this kind has.
pub(super) enum Kind {
    /// A client opens a connection.
    Connect {
        headers: HeaderMap,
        /// The token in the query of the URL.
        query_token: Option<String>,
    },
    /// A client has sent a message. `Err` describes a body that is not text.
    Message(Result<String, &'static str>),
    /// A connection has ended.
    Disconnect,
}

impl Event {
    /// Reads an event.
    pub(super) fn read(payload: &str) -> Result<Self, MemberError> {
        // The trigger was detected by the event's members, so the event is a JSON object.
        let event = Object::outermost(Members::parse(payload).unwrap_or_default());
        let context = event
            .object("requestContext")?
            .ok_or_else(|| event.error("requestContext", "is missing"))?;
        let needed = |name: &str| {
            let text = context.text(name)?;
            text.filter(|text| !text.is_empty())
                .ok_or_else(|| context.error(name, "is missing"))
        };
        let id = needed("connectionId")?;
        if id.len() > MAX_ID_BYTES {
            return Err(context.error("connectionId", "is longer than 128 bytes"));
        }
        let kind = match needed("eventType")?.as_str() {
            "CONNECT" => Kind::Connect {
                headers: all_headers(&event)?,
                query_token: query_token(&event)?,
            },
            "MESSAGE" => Kind::Message(body(&event)?),
            "DISCONNECT" => Kind::Disconnect,
            _ => return Err(context.error("eventType", "is not CONNECT, MESSAGE or DISCONNECT")),
        };
        let identity = context.object("identity")?.unwrap_or_default();
        Ok(Self {
            id: ConnectionId(id),
            domain: needed("domainName")?,
            api: context.text("apiId")?.unwrap_or_default(),
            stage: needed("stage")?,
            source: identity.text("sourceIp")?.unwrap_or_default(),
            kind,
        })
    }

    /// Returns the connection, as the service knows it.
    pub(super) fn opening(&self) -> Opening<'_> {
        Opening {
            id: self.id.clone(),
            domain: &self.domain,
            api: &self.api,
            stage: &self.stage,
            source: &self.source,
        }
    }
}

/// Returns the parameter `token` of the query. The values of a parameter that occurs twice are joined, so that they are
/// not one valid token.
fn query_token(event: &Object<'_>) -> Result<Option<String>, MemberError> {
    for member in ["multiValueQueryStringParameters", "queryStringParameters"] {
        let Some(parameters) = event.object(member)? else {
            continue;
        };
        if let Some(raw) = parameters.members().value("token") {
            let values = texts(raw).ok_or_else(|| parameters.error("token", "is not text"))?;
            return Ok(Some(values.join(",")));
        }
    }
    Ok(None)
}

fn body(event: &Object<'_>) -> Result<Result<String, &'static str>, MemberError> {
    let body = event.text("body")?.unwrap_or_default();
    if !event.flag("isBase64Encoded")? {
        return Ok(Ok(body));
    }
    let bytes = STANDARD.decode(body).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.ok_or("it is binary and not UTF-8 text"))
}
