//! Extra settings that some homes need: a private CA, a client certificate, secret headers.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::error::HomeError;
use crate::home::source::{SecretSource, Setting};

/// The names of the settings, for error messages.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// The name of the CA certificates.
    pub ca: &'static str,
    /// The name of the client certificate.
    pub client_cert: &'static str,
    /// The name of the headers.
    pub headers: &'static str,
}

impl Labels {
    /// The environment variables that name the parameters of the default home.
    pub const VARIABLES: Self = Self {
        ca: Setting::Ca.label(),
        client_cert: Setting::ClientCert.label(),
        headers: Setting::Headers.label(),
    };

    /// The parameters of a stored home.
    pub const PARAMETERS: Self = Self {
        ca: Setting::HomeCa.label(),
        client_cert: Setting::HomeClientCert.label(),
        headers: Setting::HomeHeaders.label(),
    };
}

impl Default for Labels {
    fn default() -> Self {
        Self::VARIABLES
    }
}

/// The sources of a home's extra settings. Each setting is optional.
#[derive(Default)]
pub struct Extras {
    /// PEM certificates of CAs that are trusted in addition to the public CAs.
    pub ca: Option<Box<dyn SecretSource>>,
    /// A PEM certificate chain with its private key, for homes that require a client certificate.
    pub client_cert: Option<Box<dyn SecretSource>>,
    /// A JSON object of headers that are sent with every request, for example for Cloudflare Access.
    pub headers: Option<Box<dyn SecretSource>>,
    /// The names of the settings in error messages.
    pub labels: Labels,
}

/// The settings after reading and checking them.
pub(super) struct Loaded {
    pub(super) roots: Vec<TrustAnchor<'static>>,
    pub(super) identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    pub(super) headers: HeaderMap,
}

type Text = Option<Zeroizing<String>>;

impl Extras {
    pub(super) async fn load(&self) -> Result<Loaded, HomeError> {
        let labels = self.labels;
        let (ca, client_cert, headers) = tokio::try_join!(
            read(self.ca.as_deref()),
            read(self.client_cert.as_deref()),
            read(self.headers.as_deref()),
        )?;
        let mut roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        if let Some(pem) = ca {
            roots.extend(authorities(&pem, labels.ca)?);
        }
        Ok(Loaded {
            roots,
            identity: client_cert
                .map(|pem| identity(&pem, labels.client_cert))
                .transpose()?,
            headers: headers
                .map(|json| header_map(&json, labels.headers))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

async fn read(source: Option<&dyn SecretSource>) -> Result<Text, HomeError> {
    let Some(source) = source else {
        return Ok(None);
    };
    match source.fetch().await {
        Ok(stored) => Ok(Some(Zeroizing::new(
            stored.value.expose_secret().to_owned(),
        ))),
        Err(error) => Err(HomeError::SettingUnavailable(error)),
    }
}

fn invalid(variable: &'static str, problem: &'static str) -> HomeError {
    HomeError::SettingInvalid { variable, problem }
}

fn authorities(pem: &str, label: &'static str) -> Result<Vec<TrustAnchor<'static>>, HomeError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate
            .map_err(|_| invalid(label, "the parameter contains a damaged PEM certificate"))?;
        store.add(certificate).map_err(|_| {
            invalid(
                label,
                "the parameter contains a certificate that is not a CA certificate",
            )
        })?;
    }
    if store.is_empty() {
        return Err(invalid(
            label,
            "the parameter does not contain a PEM certificate",
        ));
    }
    Ok(store.roots)
}

fn identity(
    pem: &str,
    label: &'static str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), HomeError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| invalid(label, "the parameter contains a damaged PEM certificate"))?;
    if chain.is_empty() {
        return Err(invalid(
            label,
            "the parameter does not contain a PEM certificate",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| invalid(label, "the parameter does not contain a PEM private key"))?;
    Ok((chain, key))
}

/// Returns true for headers that operators must not set, because they belong to the token, the connection or the
/// protocol.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [&str; 9] = [
        "authorization",
        "connection",
        "content-length",
        "host",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    RESERVED.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-")
}

fn header_map(json: &str, label: &'static str) -> Result<HeaderMap, HomeError> {
    let members: BTreeMap<String, String> = serde_json::from_str(json).map_err(|_| {
        invalid(
            label,
            "the parameter is not a JSON object of header names and string values",
        )
    })?;
    let mut headers = HeaderMap::new();
    for (name, text) in members {
        let text = Zeroizing::new(text);
        let name = HeaderName::try_from(name)
            .map_err(|_| invalid(label, "the parameter contains an invalid header name"))?;
        if is_reserved(&name) {
            return Err(invalid(
                label,
                "the parameter sets a header that is reserved for the token or the connection; remove it",
            ));
        }
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| invalid(label, "the parameter contains an invalid header value"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_map_checks_headers_and_never_shows_values() {
        let headers = header_map(
            r#"{"CF-Access-Client-Id":"a","CF-Access-Client-Secret":"canary"}"#,
            "headers",
        )
        .unwrap();
        assert_eq!(headers["cf-access-client-secret"], "canary");
        assert!(!format!("{headers:?}").contains("canary"));
        for json in [
            "",
            "[]",
            r#"{"a":1}"#,
            r#"{"a b":"canary"}"#,
            r#"{"a":"canary\n"}"#,
            r#"{"Authorization":"canary"}"#,
            r#"{"Host":"canary"}"#,
            r#"{"Sec-WebSocket-Key":"canary"}"#,
        ] {
            let error = header_map(json, "headers").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{json}");
        }
    }

    #[test]
    fn invalid_certificate_is_rejected_without_showing_it() {
        for pem in [
            "",
            "canary",
            "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----",
        ] {
            for error in [
                authorities(pem, "ca").unwrap_err(),
                identity(pem, "client-cert").unwrap_err(),
            ] {
                assert!(matches!(error, HomeError::SettingInvalid { .. }));
                assert!(!format!("{error} {error:?}").contains("canary"));
            }
        }
    }
}
