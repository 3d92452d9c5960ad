//! The token check at the home's REST API.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use serde::Deserialize;

use super::answerer::{Answerer, Expected, answerer};
use super::error::{HomeError, Stage};
use super::http_connection::{bearer, request};
use super::http_pool::{HttpBody, HttpPool};
use super::target::Target;
use super::transport::Transport;
use crate::base::clock::Limit;
use crate::base::secret::AccessToken;

/// The size limit of `/api/config`. A home's response is smaller; it lists some hundred components.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// The only member of `/api/config` that is read. Other members contain the home's location.
#[derive(Deserialize)]
struct HomeFacts {
    version: String,
}

/// Presents the token to `GET /api/config`. Returns the home's version.
pub(super) async fn validate(
    target: &Target,
    transport: &Transport,
    pool: &Arc<HttpPool>,
    token: &AccessToken,
    limit: Limit,
) -> Result<String, HomeError> {
    let presented = present(target, transport, pool, token);
    tokio::time::timeout(limit.duration, presented)
        .await
        .unwrap_or_else(|_| Err(HomeError::out_of_time(Stage::Validate, limit)))
}

async fn present(
    target: &Target,
    transport: &Transport,
    pool: &Arc<HttpPool>,
    token: &AccessToken,
) -> Result<String, HomeError> {
    let url = target.address.rest("/api/config");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer(token)?)]);
    let request = request(Method::GET, &url, headers, Bytes::new(), transport)?;
    let exchange = pool.ask(request, Stage::Validate).await?;
    let (head, body) = exchange.response.into_parts();
    let answerer = answerer(head.status, &head.headers, Expected::Proof, target);
    if let Answerer::Other(foreign) = answerer {
        return Err(foreign.error);
    }
    let body = read(HttpBody::new(body, exchange.connection, pool.clone())).await?;
    serde_json::from_slice::<HomeFacts>(&body)
        .map(|facts| facts.version)
        .map_err(|_| HomeError::NotHomeAssistant {
            seen: "no version in /api/config",
        })
}

async fn read(mut response: HttpBody) -> Result<Vec<u8>, HomeError> {
    let mut body = Vec::new();
    while let Some(part) = response.next(Stage::Validate).await? {
        if body.len() + part.len() > MAX_CONFIG_BYTES {
            return Err(HomeError::NotHomeAssistant {
                seen: "an /api/config of more than 1 MiB",
            });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
