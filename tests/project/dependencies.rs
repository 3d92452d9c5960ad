//! Assumptions about crates that the compiler does not check.

use std::error::Error;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The REST client recognises a reply that is not HTTP by `hyper::Error::is_parse`. It finds this error by a downcast
/// of the causes of reqwest's error. The downcast works only if reqwest and latchkey use the same version of hyper.
#[tokio::test]
async fn reqwest_and_latchkey_use_the_same_hyper() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The reply must follow the request.
        stream.read_u8().await.unwrap();
        stream.write_all(b"SSH-2.0-not-http\r\n\r\n").await.unwrap();
        stream
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (_stream, outcome) = tokio::join!(serve, client.get(url).send());
    let error = outcome.unwrap_err();
    let mut causes = std::iter::successors(error.source(), |error| (*error).source());
    let ours = causes.find_map(|cause| cause.downcast_ref::<hyper::Error>());
    assert!(ours.is_some_and(hyper::Error::is_parse), "{error:?}");
}
