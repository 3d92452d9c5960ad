//! Statistics of WebSocket connections.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::answer::{Refused, json};
use super::shared::Shared;
use crate::base::home_name::HomeName;
use crate::doors::callers_token::token;
use crate::service::access::Permit;

#[derive(Serialize)]
struct Statistics {
    connections: usize,
    authenticated: usize,
    tenants: Vec<Tenant>,
}

#[derive(Serialize)]
struct Tenant {
    /// `None` for callers without a tenant.
    tenant: Option<HomeName>,
    connections: usize,
}

/// Returns the numbers of open connections. An administrator with a tenant sees only the tenant's.
pub(super) async fn statistics(
    State(Shared { app, origins }): State<Shared>,
    request: Request,
) -> Result<Response, Refused> {
    let caller = app.admit(token(request.headers(), &origins)?).await?;
    Permit::of_administration(&caller)?;
    let seen = app.connections.statistics().await?;
    let is_visible =
        |tenant: &Option<HomeName>| caller.tenant.is_none() || *tenant == caller.tenant;
    let tenants: Vec<Tenant> = seen
        .by_tenant
        .into_iter()
        .filter(|(tenant, _)| is_visible(tenant))
        .map(|(tenant, connections)| Tenant {
            tenant,
            connections,
        })
        .collect();
    let of_tenants = tenants.iter().map(|tenant| tenant.connections).sum();
    let statistics = match caller.tenant {
        None => Statistics {
            connections: seen.connections,
            authenticated: seen.authenticated,
            tenants,
        },
        Some(_) => Statistics {
            connections: of_tenants,
            authenticated: of_tenants,
            tenants,
        },
    };
    Ok(json(StatusCode::OK, "application/json", &statistics))
}
