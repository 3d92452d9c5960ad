//! The keys of the registry's items.

use sha2::{Digest as _, Sha256};

use crate::base::home_name::HomeName;
use crate::base::table::Key;
use crate::service::connections::connection::ConnectionId;

/// The sort key of a connection's row.
pub(super) const ROW: &str = "connection";

/// The beginning of the sort keys of a connection's watches.
pub(super) const WATCHES: &str = "watch#";

/// The beginning of the sort keys of a tenant's members.
const MEMBERS: &str = "member#";

/// The partitions of the index `by_due`. One partition would limit the rate of writes of all connections.
pub(super) const SHARDS: [&str; 4] = ["0", "1", "2", "3"];

/// Returns the partition of a connection in the index `by_due`.
pub(super) fn shard(id: &ConnectionId) -> &'static str {
    let digest = Sha256::digest(&id.0);
    SHARDS[usize::from(digest[0]) % SHARDS.len()]
}

/// Returns the partition key of a connection's own items.
pub(super) fn own(id: &ConnectionId) -> String {
    format!("connection#{}", id.0)
}

pub(super) fn row(id: &ConnectionId) -> Key {
    Key {
        pk: own(id),
        sk: ROW.into(),
    }
}

pub(super) fn message(id: &ConnectionId, message: &str) -> Key {
    Key {
        pk: own(id),
        sk: format!("message#{message}").into(),
    }
}

pub(super) fn watch(id: &ConnectionId, resource: &str) -> Key {
    Key {
        pk: own(id),
        sk: format!("{WATCHES}{resource}").into(),
    }
}

/// Returns the partition key of a tenant's members. A tenant's name is never empty, so no tenant has the key of
/// connections without a tenant.
pub(super) fn tenant(tenant: Option<&HomeName>) -> String {
    format!("tenant#{}", text(tenant))
}

/// Returns the beginning of the sort keys of a tenant's members, or of the members with one subject. A subject can be
/// long and can contain `#`, so the keys contain its hash.
pub(super) fn members(subject: Option<&str>) -> String {
    match subject {
        Some(subject) => format!("{MEMBERS}{}#", hex::encode(Sha256::digest(subject))),
        None => MEMBERS.into(),
    }
}

pub(super) fn member(of: Option<&HomeName>, subject: &str, id: &ConnectionId) -> Key {
    Key {
        pk: tenant(of),
        sk: format!("{}{}", members(Some(subject)), id.0).into(),
    }
}

/// Returns the partition key of the connections that watch a resource. A tenant's name contains no `#`.
pub(super) fn watchers(tenant: Option<&HomeName>, resource: &str) -> String {
    format!("watch#{}#{resource}", text(tenant))
}

pub(super) fn watcher(tenant: Option<&HomeName>, resource: &str, id: &ConnectionId) -> Key {
    Key {
        pk: watchers(tenant, resource),
        sk: id.0.clone().into(),
    }
}

fn text(tenant: Option<&HomeName>) -> &str {
    tenant.map_or("", HomeName::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_over_all_shards() {
        let ids = (0..100).map(|number| ConnectionId(format!("connection-{number}=")));
        let shards: Vec<&str> = ids.map(|id| shard(&id)).collect();
        for shard in SHARDS {
            let count = shards.iter().filter(|of| **of == shard).count();
            assert!(count > 10, "shard {shard} has {count} of 100 connections");
        }
    }

    #[test]
    fn tenants_and_subjects_do_not_share_keys() {
        let home = HomeName::new("home").unwrap();
        assert_ne!(tenant(Some(&home)), tenant(None));
        // A resource that looks like a tenant and a resource.
        assert_ne!(watchers(Some(&home), "a"), watchers(None, "home#a"));
        let (one, two) = (members(Some("a")), members(Some("a#b")));
        assert!(!one.starts_with(&two) && !two.starts_with(&one));
    }
}
