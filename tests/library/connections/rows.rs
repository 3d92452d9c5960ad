//! Rows of the tests.

use std::time::Duration;

use latchkey::base::home_name::HomeName;
use latchkey::service::access::Permission;
use latchkey::service::connections::{
    Authenticated, Connection, ConnectionId, Dialect, Identity, MemberRow,
};

use super::{LATER, MINUTE, NOW, Scene, address};

pub(super) fn id(text: &str) -> ConnectionId {
    ConnectionId(text.into())
}

pub(super) fn tenant(name: &str) -> Option<HomeName> {
    (!name.is_empty()).then(|| HomeName::new(name).unwrap())
}

/// Returns a connection that has just been opened.
pub(super) fn connection(id: &str) -> Connection {
    Connection {
        address: address(id),
        connected_at: NOW,
        dialect: None,
        coalesces: false,
        identity: None,
        due: NOW + MINUTE,
    }
}

/// Returns an identity. An empty text stands for no tenant.
pub(super) fn identity(subject: &str, of: &str) -> Identity {
    let permissions = ["read:light.*", "call:light.*:light.a?", "admin"];
    Identity {
        subject: subject.into(),
        tenant: tenant(of),
        permissions: permissions.map(|it| Permission::parse(it).unwrap()).into(),
        plan: None,
        expires_at: NOW + 5 * MINUTE,
    }
}

/// Returns a member row. An empty text stands for no tenant.
pub(super) fn member(id: &str, subject: &str, of: &str) -> MemberRow {
    MemberRow {
        address: address(id),
        tenant: tenant(of),
        subject: subject.into(),
        dialect: Some(Dialect::Envelope),
    }
}

/// Returns the ids of members, in order.
pub(super) fn ids(members: &[MemberRow]) -> Vec<&str> {
    let mut ids: Vec<&str> = members.iter().map(|it| it.address.id.0.as_str()).collect();
    ids.sort_unstable();
    ids
}

impl Scene {
    /// Opens a connection whose row and member row expire at [`LATER`], and returns the member row.
    pub(super) async fn admit(&self, id: &str, subject: &str, of: &str) -> MemberRow {
        let row = Connection {
            identity: Some(identity(subject, of)),
            ..connection(id)
        };
        self.registry.open(&row, LATER).await.unwrap();
        let member = member(id, subject, of);
        self.registry.join(&member, LATER).await.unwrap();
        member
    }

    /// Authenticates a connection, whose row then expires at [`LATER`].
    pub(super) async fn authenticate(
        &self,
        id: &str,
        identity: &Identity,
        dialect: Option<Dialect>,
        due: Duration,
    ) -> Authenticated {
        let id = ConnectionId(id.into());
        let done = self
            .registry
            .authenticate(&id, identity, dialect, due, LATER);
        done.await.unwrap()
    }
}
