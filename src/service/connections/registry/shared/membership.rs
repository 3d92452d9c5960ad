//! Adds members to tenants and counts them.

use std::time::Duration;

use futures_util::future::try_join;

use super::rows::seconds;
use super::{SharedRegistry, keys};
use crate::base::table::{Item, Query, TableError};
use crate::service::connections::registry::{Joined, MemberRow, RegistryError};

impl SharedRegistry {
    /// Does the work of `Registry::join`.
    pub(super) async fn add_member(
        &self,
        member: &MemberRow,
        expires_at: Duration,
    ) -> Result<Joined, RegistryError> {
        let (tenant, id) = (member.tenant.as_ref(), &member.address.id);
        let key = keys::member(tenant, &member.subject, id);
        let mut item = Item::of(member)?;
        item.insert("expires_at", seconds(expires_at));
        self.table.put(&key, item, None).await?;
        let (row, joined) = try_join(self.find_item(id), self.count_members(member)).await?;
        if row.is_some() {
            return Ok(joined);
        }
        self.table.delete(&key, None).await?;
        Ok(self.count_members(member).await?)
    }

    async fn count_members(&self, member: &MemberRow) -> Result<Joined, TableError> {
        let now = self.now();
        let count = |subject| {
            let tenant = keys::tenant(member.tenant.as_ref());
            let query = Query::beginning_with(tenant, keys::members(subject));
            self.table.count(query.live_at(now))
        };
        let (of_caller, of_tenant) = try_join(count(Some(&member.subject)), count(None)).await?;
        Ok(Joined {
            of_caller,
            of_tenant,
        })
    }
}
