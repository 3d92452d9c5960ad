//! The token check at the home's REST API.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::answerer::{Answerer, Expected, answerer};
use super::error::{HomeError, Stage};
use super::preconnect::{self, Preconnect};
use super::target::Target;
use super::transport::{Resolver, Transport, from_source, sources};
use crate::base::clock::Limit;
use crate::base::secret::AccessToken;

/// The size limit of `/api/config`. A home's response is smaller; it lists some hundred components.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// A client that validates tokens at one home's REST API.
pub(super) struct TokenCheck {
    client: reqwest::Client,
    target: Target,
    config_url: url::Url,
    preconnect: preconnect::Trigger,
}

/// The only member of `/api/config` that is read. Other members contain the home's location.
#[derive(Deserialize)]
struct HomeFacts {
    version: String,
}

impl TokenCheck {
    pub(super) fn new(target: &Target, transport: &Transport) -> Result<Self, HomeError> {
        let preconnect = preconnect::Trigger::default();
        let layer = Preconnect::new(preconnect.clone());
        Ok(Self {
            client: client(target, transport, |builder| builder.connector_layer(layer))?,
            config_url: target.address.rest("/api/config"),
            target: target.clone(),
            preconnect,
        })
    }

    /// Starts a connection for a later request. No request is sent.
    pub(super) async fn preconnect(&self) {
        self.preconnect.arm();
        // The layer rejects this request before it reaches the network.
        let _ = self.client.get(self.config_url.clone()).send().await;
        self.preconnect.disarm();
    }

    /// Discards a connection that was opened in advance and not used.
    pub(super) fn forget_preconnected(&self) {
        self.preconnect.void();
    }

    /// Presents the token to `GET /api/config`. Returns the home's version.
    pub(super) async fn validate(
        &self,
        token: &AccessToken,
        limit: Limit,
    ) -> Result<String, HomeError> {
        tokio::time::timeout(limit.duration, self.present(token))
            .await
            .unwrap_or_else(|_| Err(HomeError::out_of_time(Stage::Validate, limit)))
    }

    async fn present(&self, token: &AccessToken) -> Result<String, HomeError> {
        let response = self
            .client
            .get(self.config_url.clone())
            .header(AUTHORIZATION, bearer(token)?)
            .send()
            .await
            .map_err(|error| classify(&error, Stage::Validate))?;
        let answerer = answerer(
            response.status(),
            response.headers(),
            Expected::Proof,
            &self.target,
        );
        if let Answerer::Other(foreign) = answerer {
            return Err(foreign.error);
        }
        let body = read(response).await?;
        serde_json::from_slice::<HomeFacts>(&body)
            .map(|facts| facts.version)
            .map_err(|_| HomeError::NotHomeAssistant {
                seen: "no version in /api/config",
            })
    }
}

/// Builds an HTTP client for one home. `more` adds settings to it.
pub(super) fn client(
    target: &Target,
    transport: &Transport,
    more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, HomeError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(transport.tls().clone())
        .default_headers(transport.headers().clone())
        .dns_resolver(Resolver)
        .connect_timeout(target.limits.connect_timeout)
        // No connection is reused. A connection that died unnoticed would lose the token and the response, and could
        // not tell "not sent" from "sent". A new connection costs the token check no time: the WebSocket is opened in
        // parallel and takes as long.
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .user_agent(concat!("latchkey/", env!("CARGO_PKG_VERSION")));
    more(builder).build().map_err(|error| HomeError::Tls {
        reason: error.to_string(),
    })
}

pub(super) fn bearer(token: &AccessToken) -> Result<HeaderValue, HomeError> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    // The offline checks accept only visible ASCII, which is valid in every header.
    let mut value = HeaderValue::from_str(&text).map_err(|_| HomeError::Rejected)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, HomeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| classify(&error, Stage::Validate))?
    {
        if body.len() + chunk.len() > MAX_CONFIG_BYTES {
            return Err(HomeError::NotHomeAssistant {
                seen: "an /api/config of more than 1 MiB",
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Converts the error of a request without a response. `stage` is the step after the connection is open.
pub(super) fn classify(error: &reqwest::Error, stage: Stage) -> HomeError {
    // The server on that port does not speak HTTP like a home.
    if sources(error)
        .filter_map(|source| source.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse)
    {
        return HomeError::NotHomeAssistant {
            seen: "no usable HTTP response",
        };
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => HomeError::Timeout { stage: Stage::Tcp },
        (true, false) => from_source(error, Stage::Tcp),
        (false, _) => from_source(error, stage),
    }
}
