//! Removes all items of a connection.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::rows::{Watch, readable};
use super::{SharedRegistry, keys};
use crate::base::table::{Key, Query, TableError};
use crate::service::connections::connection::{Connection, ConnectionId};
use crate::service::connections::registry::RegistryError;

/// The number of items that one removal deletes at the same time.
const PARALLEL_DELETES: usize = 16;

/// Returns the key of a connection's member row, if the connection has a caller.
fn member_key(row: &Connection) -> Option<Key> {
    let identity = row.identity.as_ref()?;
    let (tenant, subject) = (identity.tenant.as_ref(), &identity.subject);
    Some(keys::member(tenant, subject, &row.address.id))
}

impl SharedRegistry {
    /// Does the work of `Registry::remove`.
    pub(super) async fn remove_all(
        &self,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, RegistryError> {
        let (mut row, mut own, mut elsewhere) = (None::<Connection>, Vec::new(), Vec::new());
        // Expired items are removed too.
        for item in self.table.query(Query::partition(keys::own(id))).await? {
            let sk = item.text("sk").unwrap_or_default().to_owned();
            if sk == keys::ROW {
                row = readable(item);
                continue;
            }
            if sk.starts_with(keys::WATCHES) {
                let watch: Option<Watch> = readable(item);
                let watcher =
                    watch.map(|watch| keys::watcher(watch.tenant.as_ref(), &watch.resource, id));
                elsewhere.extend(watcher);
            }
            own.push(Key {
                pk: keys::own(id),
                sk: sk.into(),
            });
        }
        elsewhere.extend(row.as_ref().and_then(member_key));
        self.delete_all(elsewhere).await?;
        self.delete_all(own).await?;
        // The connection may have been authenticated meanwhile, and may have joined and still found its row.
        let last = self.table.take(&keys::row(id)).await?.and_then(readable);
        let row = last.or(row);
        if let Some(member) = row.as_ref().and_then(member_key) {
            self.table.delete(&member, None).await?;
        }
        Ok(row)
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), TableError> {
        stream::iter(keys)
            .map(|key| async move { self.table.delete(&key, None).await })
            .buffer_unordered(PARALLEL_DELETES)
            .try_collect()
            .await
    }
}
