//! The WebSocket door: events of a WebSocket API of API Gateway, and messages of the queue of deadlines.
//!
//! A client speaks one of two dialects: Home Assistant's own protocol, or an envelope with ids of any kind. The shape
//! of a message shows its dialect. The answer to a message is the response of its invocation, which API Gateway sends
//! to the client as one frame. Only frames that answer no message are posted.
//!
//! | module | content |
//! |---|---|
//! | `event` | the events of API Gateway |
//! | `message` | the messages of clients, parsed |
//! | `serve` | one event, from authentication to answer |
//! | `door` | refuses messages, with and without closing the connection |
//! | `commands` | the commands of one frame |
//! | `frame` | the frames for clients |
//! | `code` | the codes of error frames |
//! | `deadlines` | messages of the queue, and the sweep |

mod code;
mod commands;
mod deadlines;
mod door;
mod event;
mod frame;
mod message;
mod serve;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::config::{HttpConfig, Origins, WebSocketConfig};

pub use deadlines::QueueReply;
pub(crate) use deadlines::{sweep, wake};
pub(crate) use serve::serve;

/// The settings of the door.
pub(crate) struct Terms {
    origins: Origins,
    takes_query_token: bool,
}

impl Terms {
    /// Returns the settings of the door.
    pub(crate) fn new(http: &HttpConfig, websocket: &WebSocketConfig) -> Self {
        Self {
            origins: http.origins.clone(),
            takes_query_token: websocket.takes_query_token,
        }
    }
}

/// The response to an event of a WebSocket API. API Gateway sends the body to the client as a frame.
#[derive(Debug, Serialize)]
pub struct GatewayReply {
    #[serde(rename = "statusCode")]
    status: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl GatewayReply {
    fn status(status: u16) -> Self {
        Self {
            status,
            headers: BTreeMap::new(),
            body: None,
        }
    }

    /// Answers a message. API Gateway sends a frame of its own for every status but 200.
    fn frame(body: Option<String>) -> Self {
        Self {
            body,
            ..Self::status(200)
        }
    }
}
