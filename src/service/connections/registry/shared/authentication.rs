//! Gives a connection its caller.

use std::time::Duration;

use serde::Deserialize;

use super::rows::{is_live, seconds};
use super::{SharedRegistry, keys};
use crate::base::table::{Condition, Exchange, Item, TableError, Value};
use crate::service::connections::connection::{Connection, ConnectionId, Dialect, Identity};
use crate::service::connections::registry::{Authenticated, RegistryError};

/// The parts of a row that its last authentication replaced.
#[derive(Debug, Deserialize)]
struct Former {
    former_identity: Option<Identity>,
    former_dialect: Option<Dialect>,
    #[serde(with = "crate::service::connections::milliseconds")]
    former_due: Duration,
}

/// Returns a connection as it was before its last authentication.
fn before_authentication(item: Item) -> Result<Connection, TableError> {
    let former: Former = item.clone().into_row()?;
    let connection: Connection = item.into_row()?;
    Ok(Connection {
        identity: former.former_identity,
        dialect: former.former_dialect,
        due: former.former_due,
        ..connection
    })
}

impl SharedRegistry {
    /// Does the work of `Registry::authenticate`.
    pub(super) async fn set_identity(
        &self,
        id: &ConnectionId,
        identity: &Identity,
        dialect: Option<Dialect>,
        due: Duration,
        expires_at: Duration,
    ) -> Result<Authenticated, RegistryError> {
        let (now, run) = (self.now(), self.random.id());
        let mut values = vec![
            ("now", seconds(now)),
            ("run", run.as_str().into()),
            ("identity", Value::of(identity)?),
            ("subject", identity.subject.as_str().into()),
            ("due", due.into()),
            ("expires_at", seconds(expires_at)),
            ("null", Value::null()),
        ];
        let same_tenant = match &identity.tenant {
            Some(tenant) => {
                values.push(("tenant", tenant.as_str().into()));
                "#identity.#tenant = :tenant"
            }
            None => "attribute_not_exists(#identity.#tenant)",
        };
        let set_dialect = match dialect {
            Some(dialect) => {
                values.push(("dialect", Value::of(&dialect)?));
                ", #dialect = :dialect"
            }
            None => "",
        };
        let change = format!(
            "SET #former_identity = if_not_exists(#identity, :null), \
             #former_dialect = if_not_exists(#dialect, :null), #former_due = #due, \
             #authenticated_by = :run, #identity = :identity, #due = :due, #expires_at = :expires_at{set_dialect}"
        );
        // A second attempt of the same run must not store this run's own values as the former ones.
        let expression = format!(
            "#expires_at >= :now AND (attribute_not_exists(#identity) \
             OR (#identity.#subject = :subject AND {same_tenant})) \
             AND (attribute_not_exists(#authenticated_by) OR #authenticated_by <> :run)"
        );
        let condition = Condition {
            expression: &expression,
            names: &[
                "former_identity",
                "former_dialect",
                "former_due",
                "authenticated_by",
                "identity",
                "subject",
                "tenant",
                "dialect",
                "due",
                "expires_at",
            ],
            values,
        };
        let key = keys::row(id);
        let outcome = self.table.exchange(&key, &change, condition).await?;
        Ok(match outcome {
            Exchange::Done(before) => Authenticated::Done(Box::new(before.into_row()?)),
            // This run wrote the row in an earlier attempt whose response was lost.
            Exchange::Refused(item) if item.text("authenticated_by") == Some(&run) => {
                Authenticated::Done(Box::new(before_authentication(item)?))
            }
            Exchange::Refused(item) if is_live(&item, now) => Authenticated::OtherPerson,
            Exchange::Refused(_) => Authenticated::Gone,
        })
    }
}
