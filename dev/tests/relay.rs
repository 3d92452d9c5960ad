//! The relay over real sockets.
#![expect(clippy::unwrap_used, reason = "a failed call must fail the test")]

use std::{io, net::SocketAddr, time::Duration};

use latchkey_dev::{
    home::{HomeOptions, SimulatedHome},
    relay::{Direction, Ending, Relay, RelayOptions},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};

/// Starts a server that returns all bytes.
async fn echo() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    (address, server)
}

async fn relay_to(target: SocketAddr) -> Relay {
    Relay::start(target, RelayOptions::default()).await.unwrap()
}

async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await?;
    Ok(back)
}

/// Reads until the end. Returns the number of bytes, and the error if there is one.
async fn read_out(stream: &mut TcpStream) -> (usize, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (bytes.len(), end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn relay_passes_and_counts_all_bytes() {
    let (target, _server) = echo().await;
    let relay = relay_to(target).await;
    let mut first = TcpStream::connect(relay.addr()).await.unwrap();
    let mut second = TcpStream::connect(relay.addr()).await.unwrap();
    assert_eq!(exchange(&mut first, b"hello").await.unwrap(), b"hello");
    assert_eq!(exchange(&mut second, b"you").await.unwrap(), b"you");

    first.shutdown().await.unwrap();
    assert_eq!(read_out(&mut first).await, (0, None));
    let counters = relay
        .wait_for(|counters| counters.open_connections == 1)
        .await;
    assert_eq!(counters.connections, 2);
    assert_eq!((counters.bytes_to_server, counters.bytes_to_client), (8, 8));
}

#[tokio::test]
async fn latency_does_not_reduce_throughput_and_connecting_takes_a_round_trip() {
    let (target, _server) = echo().await;
    let round_trip = Duration::from_millis(50);
    let relay = Relay::start(target, RelayOptions { round_trip })
        .await
        .unwrap();
    let started = Instant::now();
    let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
    exchange(&mut stream, b"x").await.unwrap();
    // Only the lower bound is exact; the delay beyond it depends on the machine.
    assert!(started.elapsed() >= round_trip * 2);
    let again = Instant::now();
    exchange(&mut stream, b"x").await.unwrap();
    assert!(again.elapsed() >= round_trip);

    // If chunks waited for one another, these would take more than a minute.
    let megabytes = vec![7; 64 << 20];
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; megabytes.len()];
    let (sent, read) = tokio::join!(to.write_all(&megabytes), from.read_exact(&mut back));
    sent.unwrap();
    read.unwrap();
    assert!(back == megabytes);
}

#[tokio::test]
async fn cut_after_ends_a_connection_at_the_exact_byte() {
    for ending in [Ending::Fin, Ending::Reset] {
        let kind = (ending == Ending::Reset).then_some(io::ErrorKind::ConnectionReset);
        let (target, _server) = echo().await;
        let relay = relay_to(target).await;

        let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
        relay.cut_after(Direction::ToClient, 5, ending);
        stream.write_all(b"hello world").await.unwrap();
        assert_eq!(read_out(&mut stream).await, (5, kind));

        let before = relay.counters();
        let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
        relay.cut_after(Direction::ToServer, 7, ending);
        assert_eq!(exchange(&mut stream, b"abc").await.unwrap(), b"abc");
        stream.write_all(b"defghijkl").await.unwrap();
        let (read, end) = read_out(&mut stream).await;
        assert!(read <= 4);
        assert_eq!(end, kind);
        let after = relay.counters();
        assert_eq!(after.bytes_to_server - before.bytes_to_server, 7);

        // The cut takes effect once, so the next connection is intact. A cut after 0 bytes passes nothing.
        let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
        assert_eq!(exchange(&mut stream, b"whole").await.unwrap(), b"whole");
        relay.cut_after(Direction::ToServer, 0, ending);
        stream.write_all(b"lost").await.unwrap();
        assert_eq!(read_out(&mut stream).await, (0, kind));
        assert_eq!(relay.counters().bytes_to_server - after.bytes_to_server, 5);
    }
}

#[tokio::test]
async fn black_hole_affects_only_the_chosen_connections() {
    let (target, _server) = echo().await;
    let relay = relay_to(target).await;
    let mut lost = TcpStream::connect(relay.addr()).await.unwrap();
    exchange(&mut lost, b"x").await.unwrap();
    relay.black_hole();
    let before = relay.counters();
    lost.write_all(b"into the void").await.unwrap();
    let mut new = TcpStream::connect(relay.addr()).await.unwrap();
    exchange(&mut new, b"x").await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), lost.read_u8()).await;
    assert!(nothing.is_err());
    assert_eq!(relay.counters().bytes_to_server, before.bytes_to_server + 1);

    relay.black_hole_new(true);
    let mut lost = TcpStream::connect(relay.addr()).await.unwrap();
    lost.write_all(b"x").await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), lost.read_u8()).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn relay_drops_refuses_and_accepts_connections() {
    let (target, _server) = echo().await;
    let relay = relay_to(target).await;
    for (ending, kind) in [
        (Ending::Fin, None),
        (Ending::Reset, Some(io::ErrorKind::ConnectionReset)),
    ] {
        let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
        exchange(&mut stream, b"x").await.unwrap();
        relay.drop_connections(ending);
        assert_eq!(read_out(&mut stream).await, (0, kind));
    }
    let mut stays = TcpStream::connect(relay.addr()).await.unwrap();
    exchange(&mut stays, b"x").await.unwrap();
    relay.refuse_connections().await;
    let refused = TcpStream::connect(relay.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    exchange(&mut stays, b"x").await.unwrap();

    relay.accept_connections().unwrap();
    let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
    exchange(&mut stream, b"x").await.unwrap();
}

#[tokio::test]
async fn set_target_affects_new_connections() {
    let first = SimulatedHome::start(HomeOptions::default()).await.unwrap();
    let second = SimulatedHome::start(HomeOptions::default()).await.unwrap();
    let relay = relay_to(first.address()).await;
    let _kept = TcpStream::connect(relay.addr()).await.unwrap();
    first
        .wait_for(|counters| counters.tcp_connections == 1)
        .await;
    relay.set_target(second.address());
    let _other = TcpStream::connect(relay.addr()).await.unwrap();
    second
        .wait_for(|counters| counters.tcp_connections == 1)
        .await;

    // Without a server, the relay resets the client.
    drop(second);
    let (gone, server) = echo().await;
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    relay.set_target(gone);
    let mut stream = TcpStream::connect(relay.addr()).await.unwrap();
    let kind = Some(io::ErrorKind::ConnectionReset);
    assert_eq!(read_out(&mut stream).await, (0, kind));
}
