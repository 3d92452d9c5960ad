//! Events that a home pushes, for the WebSocket connections of its tenant.

use std::collections::BTreeSet;

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::HeaderMap;
use http::{HeaderName, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{Refused, json};
use super::shared::Shared;
use super::{body_of, invocation_of};
use crate::base::home_name::HomeName;
use crate::base::json::{MemberError, Members, Object, shown};
use crate::doors::callers_token::token;
use crate::doors::reply::rfc3339;
use crate::service::access::PushSignature;
use crate::service::app::{Credentials, Pusher};
use crate::service::connections::{Broadcast, Receivers};
use crate::service::failure::Failure;

/// The header with the signature of the body.
const SIGNATURE: HeaderName = HeaderName::from_static("x-latchkey-signature");

/// The largest event. API Gateway delivers no larger frame.
const MAX_EVENT_BYTES: usize = 120 << 10;

/// The longest name of a type, a user or a resource.
const MAX_NAME_BYTES: usize = 255;

/// An event, as its sender describes it.
struct Event<'a> {
    home: Option<HomeName>,
    kind: String,
    data: &'a RawValue,
    to: Receivers,
    except: BTreeSet<String>,
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    id: Option<()>,
    timestamp: &'a str,
    event: FrameEvent<'a>,
}

#[derive(Serialize)]
struct FrameEvent<'a> {
    event_type: &'a str,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Delivery {
    sent: usize,
    gone: usize,
    failed: usize,
}

/// Sends an event to connections.
pub(super) async fn push(
    State(Shared { app, origins }): State<Shared>,
    request: Request,
) -> Result<Response, Refused> {
    let invocation = invocation_of(&app, &request)?;
    let (parts, body) = request.into_parts();
    let body = body_of(Request::new(body)).await?;
    let signature = signature(&parts.headers)?;
    let credentials = match &signature {
        Some(signature) => Credentials::Signature(signature),
        None => Credentials::Bearer(token(&parts.headers, &origins)?),
    };
    let pusher = app.identify_pusher(credentials, &body).await?;
    if body.len() > MAX_EVENT_BYTES {
        let limit_bytes = MAX_EVENT_BYTES;
        return Err(Failure::RequestTooLarge { limit_bytes }.into());
    }
    let mut event = Event::parse(&body).map_err(Failure::Push)?;
    // Home Assistant's own events name no home.
    if event.home.is_none() {
        event.home = home_of_query(parts.uri.query()).map_err(Failure::Push)?;
    }
    let timestamp = rfc3339(app.clock.now().unix);
    let frame = Frame {
        r#type: "event",
        id: None,
        timestamp: &timestamp,
        event: FrameEvent {
            event_type: &event.kind,
            data: event.data,
        },
    };
    // Serialising strings and a JSON text never fails.
    let frame = serde_json::to_string(&frame).unwrap_or_default();
    let broadcast = Broadcast {
        tenant: app.tenant_of_event(&pusher, event.home)?,
        to: event.to,
        except: event.except,
        frame,
    };
    let sender = match &pusher {
        Pusher::Home => "home".to_owned(),
        Pusher::Admin(caller) => shown(&caller.subject),
    };
    let delivered = app.connections.broadcast(&broadcast, invocation.deadline);
    let delivered = delivered.await?;
    tracing::info!(
        category = "audit",
        request_id = invocation.id,
        tenant = broadcast.tenant.as_ref().map_or("", HomeName::as_str),
        subject = sender,
        sent = delivered.sent,
        gone = delivered.gone,
        failed = delivered.failed,
        "event"
    );
    let delivery = Delivery {
        sent: delivered.sent,
        gone: delivered.gone,
        failed: delivered.failed,
    };
    Ok(json(StatusCode::OK, "application/json", &delivery))
}

/// Returns the home in the query, if there is one.
fn home_of_query(query: Option<&str>) -> Result<Option<HomeName>, MemberError> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let home = pairs.into_iter().find(|(name, _)| name == "home");
    let home = home.map(|(_, value)| {
        let fault = "of the query is not the name of a home";
        HomeName::new(&value).ok_or_else(|| MemberError::new("home", fault))
    });
    home.transpose()
}

fn signature(headers: &HeaderMap) -> Result<Option<PushSignature>, Failure> {
    let Some(header) = headers.get(SIGNATURE) else {
        return Ok(None);
    };
    let parsed = header.to_str().ok().and_then(PushSignature::parse);
    parsed.map(Some).ok_or_else(|| {
        Failure::Push(MemberError::new(
            "X-Latchkey-Signature",
            "does not have the form `t=<seconds>,v1=<64 hexadecimal digits>`",
        ))
    })
}

impl<'a> Event<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, MemberError> {
        let text =
            std::str::from_utf8(body).map_err(|_| MemberError::new("body", "is not UTF-8 text"))?;
        let members = Members::parse(text)
            .map_err(|error| MemberError::new("body", format!("is not a JSON object ({error})")))?;
        // Home Assistant's own events: a whole event, or the data of `state_changed`.
        if members.has("entity_id") && (members.has("new_state") || members.has("old_state")) {
            let data = serde_json::from_str(text)
                .map_err(|_| MemberError::new("body", "is not a JSON object"))?;
            return Self::of_state(members.text("entity_id"), data);
        }
        if members.has("event_type") && !members.has("type") {
            let data = members.object("data");
            let raw = members.value("data");
            return match (members.word("event_type").as_deref(), raw) {
                (Some("state_changed"), Some(raw)) => Self::of_state(data.text("entity_id"), raw),
                _ => Err(MemberError::new(
                    "event_type",
                    "is not `state_changed`; send other events with `type` and `to`",
                )),
            };
        }
        let object = Object::outermost(members);
        let known = ["home", "type", "data", "to", "except"];
        if let Some(name) = object.members().names().find(|name| !known.contains(name)) {
            return Err(object.error(
                name,
                "is not a member of an event; an event has `home`, `type`, `data`, `to` and `except`",
            ));
        }
        let home = object.text("home")?;
        let home = home.map(|name| {
            HomeName::new(&name).ok_or_else(|| object.error("home", "is not the name of a home"))
        });
        let data = object.members().get("data");
        Ok(Self {
            home: home.transpose()?,
            kind: name(&object, "type")?,
            data: data.ok_or_else(|| object.error("data", "is missing"))?,
            to: receivers(&object)?,
            except: except(&object)?,
        })
    }

    fn of_state(entity_id: Option<String>, data: &'a RawValue) -> Result<Self, MemberError> {
        let entity_id = entity_id.filter(|id| !id.is_empty() && id.len() <= MAX_NAME_BYTES);
        let entity_id = entity_id.ok_or_else(|| {
            MemberError::new("entity_id", "is missing, or it is not an entity id")
        })?;
        Ok(Self {
            home: None,
            kind: "state_changed".to_owned(),
            data,
            to: Receivers::Watchers(entity_id),
            except: BTreeSet::new(),
        })
    }
}

fn name(object: &Object<'_>, member: &str) -> Result<String, MemberError> {
    let text = object.text(member)?;
    text.filter(|text| !text.is_empty() && text.len() <= MAX_NAME_BYTES)
        .ok_or_else(|| object.error(member, "is missing, or it is not 1 to 255 bytes long"))
}

fn receivers(object: &Object<'_>) -> Result<Receivers, MemberError> {
    let to = object
        .object("to")?
        .ok_or_else(|| object.error("to", "is missing"))?;
    let names: Vec<&str> = to.members().names().collect();
    match names.as_slice() {
        ["tenant"] if to.flag("tenant")? => Ok(Receivers::Tenant),
        ["user"] => Ok(Receivers::User(name(&to, "user")?)),
        ["resource"] => Ok(Receivers::Watchers(name(&to, "resource")?)),
        _ => Err(object.error(
            "to",
            "must be {\"tenant\":true}, {\"user\":…} or {\"resource\":…}",
        )),
    }
}

fn except(object: &Object<'_>) -> Result<BTreeSet<String>, MemberError> {
    let Some(raw) = object.members().value("except") else {
        return Ok(BTreeSet::new());
    };
    serde_json::from_str(raw.get())
        .map_err(|_| object.error("except", "is not an array of connection ids"))
}
