//! A way to wait until a home has processed its input.

use latchkey_dev::home::SimulatedHome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends a request without effect to a home, past any relay, and waits for the answer.
///
/// A home that runs on one thread answers the request only after the processing of all earlier input. This also holds
/// if the home and its relay share the thread.
pub async fn visit(home: &SimulatedHome) {
    // Bytes in the relay take one more turn to the home, and the reaction takes one turn back.
    for _ in 0..3 {
        let mut stream = TcpStream::connect(home.address()).await.unwrap();
        let request = b"GET /nothing/here HTTP/1.1\r\nHost: home\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 404"));
    }
}
