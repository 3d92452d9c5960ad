//! Events that tell of the parameters beside the token: what a private or fenced home needs is read again before the
//! next connection.

use std::sync::Arc;

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Stage;
use crate::lambda::problem;
use crate::sandbox::{COMMAND, parameter_change};

const SETTING: &str = "/homeautomation/setting";

/// A certificate authority: its certificate, and a server that shows one it has issued.
fn authority() -> (String, Arc<rustls::ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (pem, Arc::new(server))
}

/// The home answers once the setting is `right`, and it takes an event to make that known.
async fn assert_read_again(
    options: HomeOptions,
    variable: &str,
    wrong: &str,
    right: &str,
    named: &str,
) {
    let home = SimulatedHome::start(options).await.unwrap();
    let token = home.mint_token("latchkey");
    let stage = Stage::with(home, token).await;
    stage.aws.put_token(SETTING, wrong).await.unwrap();
    let url = stage.home.url().replace("127.0.0.1", "localhost");
    let variables = [(variable, SETTING), ("HA_URL", url.as_str())];
    let sandbox = stage.sandbox(&variables).await;
    let refused = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&refused), named, "{refused}");

    stage.aws.put_token(SETTING, right).await.unwrap();
    let reads = stage.reads().await;
    let refused = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&refused), named, "{refused}");
    assert_eq!(stage.reads().await, reads, "nobody knows of it yet");

    let told = sandbox.handle(&parameter_change(SETTING)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    assert_eq!(told["session"], "ready", "{told}");
    assert_eq!(stage.reads().await, reads + 1, "the setting and no more");
    sandbox.command().await;
    assert_eq!(stage.reads().await, reads + 1);
}

#[tokio::test]
async fn changed_headers_are_in_use_at_once() {
    let options = HomeOptions {
        required_headers: vec![("CF-Access-Client-Secret".to_owned(), "right".to_owned())],
        ..HomeOptions::default()
    };
    assert_read_again(
        options,
        "HA_HEADERS_PARAMETER",
        r#"{"CF-Access-Client-Secret":"wrong"}"#,
        r#"{"CF-Access-Client-Secret":"right"}"#,
        "home-edge-blocked",
    )
    .await;
}

#[tokio::test]
async fn a_changed_authority_is_trusted_at_once() {
    let (wrong, _) = authority();
    let (right, server) = authority();
    let options = HomeOptions {
        tls: Some(server),
        ..HomeOptions::default()
    };
    assert_read_again(options, "HA_CA_PARAMETER", &wrong, &right, "home-tls").await;
}
