//! What some homes need beyond an address and a token: a private label, a client certificate, secret headers.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::error::HomeError;
use crate::home::source::{SecretSource, Setting};

/// What the settings are called where they are set, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// The certificates of authorities.
    pub ca: &'static str,
    /// The client certificate.
    pub client_cert: &'static str,
    /// The headers.
    pub headers: &'static str,
}

impl Labels {
    /// The variables that name the parameters of the one home.
    pub const VARIABLES: Self = Self {
        ca: Setting::Ca.label(),
        client_cert: Setting::ClientCert.label(),
        headers: Setting::Headers.label(),
    };

    /// The parameters of one home of several.
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

/// Where a home's extra settings are read from; each may be absent.
#[derive(Default)]
pub struct Extras {
    /// PEM certificates of authorities trusted besides the public ones.
    pub ca: Option<Box<dyn SecretSource>>,
    /// A PEM certificate chain and its private key, for homes that ask who is there.
    pub client_cert: Option<Box<dyn SecretSource>>,
    /// A JSON object of headers sent with every request, like those of Cloudflare Access.
    pub headers: Option<Box<dyn SecretSource>>,
    /// What these are called in messages.
    pub labels: Labels,
}

/// The settings, read and checked.
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
            .map_err(|_| invalid(label, "the parameter holds a damaged PEM certificate"))?;
        store.add(certificate).map_err(|_| {
            invalid(
                label,
                "the parameter holds a certificate that is not an authority's",
            )
        })?;
    }
    if store.is_empty() {
        return Err(invalid(label, "the parameter holds no PEM certificate"));
    }
    Ok(store.roots)
}

fn identity(
    pem: &str,
    label: &'static str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), HomeError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| invalid(label, "the parameter holds a damaged PEM certificate"))?;
    if chain.is_empty() {
        return Err(invalid(label, "the parameter holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| invalid(label, "the parameter holds no PEM private key"))?;
    Ok((chain, key))
}

/// Headers that are not the operator's to set: they belong to the token, the connection or the protocol.
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
            "the parameter is not a JSON object of header names and texts",
        )
    })?;
    let mut headers = HeaderMap::new();
    for (name, text) in members {
        let text = Zeroizing::new(text);
        let name = HeaderName::try_from(name)
            .map_err(|_| invalid(label, "the parameter has a member that is no header name"))?;
        if is_reserved(&name) {
            return Err(invalid(
                label,
                "the parameter sets a header that belongs to the token or the connection",
            ));
        }
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| invalid(label, "the parameter has a text that no header can hold"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked_and_never_shown() {
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
    fn what_is_no_certificate_is_named() {
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
