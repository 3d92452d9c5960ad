//! A way to know that a home has come to an end with what it was doing.

use latchkey_dev::home::SimulatedHome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Makes a request of no consequence to a home, past any relay.
///
/// Where the home has one thread, shared with its relay or not, it answers this only after it has gone through
/// everything that had reached it before.
pub(crate) async fn visit(home: &SimulatedHome) {
    // Bytes that are still with the relay take one turn more to the home, and its reaction one back.
    for _ in 0..3 {
        let mut stream = TcpStream::connect(home.address()).await.unwrap();
        let request = b"GET /nothing/here HTTP/1.1\r\nHost: home\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 404"));
    }
}
