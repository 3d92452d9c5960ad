//! One connection of a caller, as the registry keeps it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::milliseconds;
use crate::base::home_name::HomeName;
use crate::service::access::{Caller, Permission};

/// The id that API Gateway gave to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub String);

/// The way to a connection: its id, and the URL at which API Gateway accepts frames for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The id of the connection.
    pub id: ConnectionId,
    /// The base URL of the management API, like `https://abc.execute-api.eu-central-1.amazonaws.com/prod`.
    pub endpoint: String,
}

/// The form of the messages that a client sends and understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Home Assistant's own protocol: numeric ids, `result` and `event` messages.
    HomeAssistant,
    /// The envelope: ids of any kind, a `payload`, and a timestamp in each message.
    Envelope,
}

/// The caller of an authenticated connection. The serialised form leaves out absent parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The subject of the caller's token.
    pub subject: String,
    /// The caller's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<HomeName>,
    /// The caller's permissions, as the token had them.
    pub permissions: Vec<Permission>,
    /// The caller's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The time at which the caller's token expires, since the Unix epoch.
    #[serde(with = "milliseconds")]
    pub expires_at: Duration,
}

/// A connection. The serialised form leaves out absent parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// The way to the connection.
    #[serde(flatten)]
    pub address: Address,
    /// The time of `$connect`, since the Unix epoch.
    #[serde(with = "milliseconds")]
    pub connected_at: Duration,
    /// The form of the client's messages. `None` until it has sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// True if the client takes several messages in one frame, as an array.
    pub coalesces: bool,
    /// The caller. `None` until the connection is authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The time at which latchkey has to look at the connection next, since the Unix epoch.
    #[serde(with = "milliseconds")]
    pub due: Duration,
}

/// A connection as a broadcast sees it. The serialised form leaves out absent parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// The way to the connection.
    #[serde(flatten)]
    pub address: Address,
    /// The tenant of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<HomeName>,
    /// The subject of the connection.
    pub subject: String,
    /// The form of the client's messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
}

impl Connection {
    /// Returns the plan of the connection's caller.
    pub fn plan(&self) -> Option<&str> {
        self.identity.as_ref()?.plan.as_deref()
    }

    /// Returns the row of the connection below its tenant. `None` if it is not authenticated.
    pub fn member(&self) -> Option<MemberRow> {
        let identity = self.identity.as_ref()?;
        Some(MemberRow {
            address: self.address.clone(),
            tenant: identity.tenant.clone(),
            subject: identity.subject.clone(),
            dialect: self.dialect,
        })
    }
}

impl From<&Caller> for Identity {
    fn from(caller: &Caller) -> Self {
        Self {
            subject: caller.subject.clone(),
            tenant: caller.tenant.clone(),
            permissions: caller.permissions.clone(),
            plan: caller.plan.clone(),
            expires_at: caller.expires_at,
        }
    }
}

impl Identity {
    /// Returns the caller whom this identity describes.
    pub fn caller(&self) -> Caller {
        Caller {
            subject: self.subject.clone(),
            tenant: self.tenant.clone(),
            permissions: self.permissions.clone(),
            plan: self.plan.clone(),
            expires_at: self.expires_at,
        }
    }

    /// Returns true if both identities have the same subject and tenant.
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.subject == other.subject && self.tenant == other.tenant
    }
}
