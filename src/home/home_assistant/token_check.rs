//! The home's REST API, as far as proving a token needs it.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::answerer::{Expected, foreign_answer};
use super::error::{HomeError, Stage};
use super::preconnect::{self, Preconnect};
use super::target::Target;
use super::transport::{Resolver, Transport, from_source, sources};
use crate::base::clock::Limit;
use crate::base::secret::AccessToken;

/// More than any home's `/api/config`; it lists the components, some hundred of them.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// A client of one home's REST API.
pub(super) struct TokenCheck {
    client: reqwest::Client,
    target: Target,
    config_url: url::Url,
    preconnect: preconnect::Trigger,
}

/// The one thing of `/api/config` that is read; the rest holds the home's location.
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

    /// Begins to connect, for a request that is yet to come. Nothing is sent.
    pub(super) async fn preconnect(&self) {
        self.preconnect.arm();
        // Turned away before it touches the network.
        let _ = self.client.get(self.config_url.clone()).send().await;
        self.preconnect.disarm();
    }

    /// Gives up a connection that was begun ahead and not used.
    pub(super) fn forget_preconnected(&self) {
        self.preconnect.void();
    }

    /// Presents the token to `GET /api/config`. `Ok` holds the home's version.
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
        let foreign = foreign_answer(
            response.status(),
            response.headers(),
            Expected::Proof,
            &self.target,
        );
        if let Some(foreign) = foreign {
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

/// An HTTP client for one home, with what `more` adds to it.
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
        // No connection is kept: one that died unnoticed would swallow a token, and the answer with it, and could not
        // tell "not sent" from "sent". For a proof a new one costs no time, since the WebSocket is opened beside it
        // and takes as long.
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
    // The offline checks let visible ASCII alone through, which every header takes.
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

/// What a request failed by, of which no answer came. `stage` is the step once there is a connection.
pub(super) fn classify(error: &reqwest::Error, stage: Stage) -> HomeError {
    // Whatever is on that port, it does not speak HTTP as a home does.
    if sources(error)
        .filter_map(|source| source.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse)
    {
        return HomeError::NotHomeAssistant {
            seen: "no usable HTTP answer",
        };
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => HomeError::Timeout { stage: Stage::Tcp },
        (true, false) => from_source(error, Stage::Tcp),
        (false, _) => from_source(error, stage),
    }
}
