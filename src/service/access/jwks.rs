//! Reads a JSON Web Key Set from a URL.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use super::keys::JwksSource;

/// The time limit of a request to the issuer.
const LIMIT: Duration = Duration::from_secs(3);

/// The maximum size of a key set.
const MAX_BYTES: usize = 256 * 1024;

/// A key set that is read over HTTP.
pub struct HttpJwks {
    client: once_cell::sync::OnceCell<reqwest::Client>,
    url: Url,
}

impl HttpJwks {
    /// Creates a source for the key set at `url`.
    pub fn new(url: Url) -> Self {
        Self {
            client: once_cell::sync::OnceCell::new(),
            url,
        }
    }

    /// Returns the HTTP client. Creates it at its first use, because most invocations do not read keys.
    fn client(&self) -> Result<&reqwest::Client, String> {
        self.client.get_or_try_init(|| {
            let roots = rustls::RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            };
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .timeout(LIMIT)
                // Redirects are not followed: keys come only from the configured URL.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .user_agent(concat!("latchkey/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        })
    }

    async fn get(&self) -> Result<Vec<u8>, String> {
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                "the issuer did not answer in time".to_owned()
            } else {
                "the issuer could not be reached".to_owned()
            }
        };
        let mut response = self
            .client()?
            .get(self.url.clone())
            .send()
            .await
            .map_err(failed)?;
        if !response.status().is_success() {
            return Err(format!(
                "the issuer answered with status {}",
                response.status()
            ));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err("the key set is larger than 256 KB".into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl JwksSource for HttpJwks {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(self.get())
    }
}
