//! The ends of connections and the event `$disconnect`.

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::client::{
    Function, Socket, close_frame, connect, failure, gateway, manage, only_id, post, text,
};

fn code_and_reason(event: &Value) -> (u64, &str) {
    let context = &event["requestContext"];
    let code = context["disconnectStatusCode"].as_u64();
    (code.unwrap(), context["disconnectReason"].as_str().unwrap())
}

#[tokio::test]
async fn disconnect_event_has_the_close_frame_of_the_client() {
    for (frame, expected) in [
        (
            Some(CloseFrame {
                code: CloseCode::Away,
                reason: "page closed".into(),
            }),
            (1001, "page closed"),
        ),
        (
            Some(CloseFrame {
                code: CloseCode::Library(4000),
                reason: "".into(),
            }),
            (4000, ""),
        ),
        (None, (1005, "Client-side close frame status not set")),
    ] {
        let function = Function::silent();
        let gateway = gateway(&function).await;
        let mut socket = connect(&gateway).await;
        let id = only_id(&gateway);
        socket.send(Message::Close(frame)).await.unwrap();
        let event = function.event("$disconnect", 0).await;
        assert_eq!(code_and_reason(&event), expected);
        let context = &event["requestContext"];
        assert_eq!(
            (&context["eventType"], &context["connectionId"]),
            (&"DISCONNECT".into(), &id.as_str().into())
        );
        // The gateway completes the closing handshake.
        while let Some(Ok(_)) = socket.next().await {}
        assert_eq!(post(&gateway, &id, "gone").await.0, 410);
    }
}

#[tokio::test]
async fn broken_connection_has_code_1006() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket: Socket = connect(&gateway).await;
    socket.get_mut().shutdown().await.unwrap();
    drop(socket);
    let event = function.event("$disconnect", 0).await;
    assert_eq!(code_and_reason(&event).0, 1006);
    assert_eq!(gateway.open_connections(), 0);
}

#[tokio::test]
async fn deleted_connection_is_closed_with_1000_after_its_frames() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    let id = only_id(&gateway);
    assert_eq!(post(&gateway, &id, "last").await.0, 200);
    let deleted = manage(&gateway, Method::DELETE, &id, "").await;
    assert_eq!(deleted.status(), 204);
    // From now on, the connection does not exist.
    assert_eq!(post(&gateway, &id, "too late").await.0, 410);
    let again = manage(&gateway, Method::DELETE, &id, "").await;
    assert_eq!(again.status(), 410);

    assert_eq!(text(&mut socket).await, "last");
    let frame = close_frame(&mut socket).await;
    assert_eq!(frame.code, CloseCode::Normal);
    let event = function.event("$disconnect", 0).await;
    assert_eq!(
        code_and_reason(&event),
        (1000, "Connection Closed Normally")
    );
    let counters = gateway.counters();
    assert_eq!((counters.deletes, counters.disconnects), (2, 1));
}

#[tokio::test]
async fn disconnect_events_are_lost_on_demand() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    gateway.lose_disconnects(true);
    connect(&gateway).await.close(None).await.unwrap();
    gateway
        .wait_for(|counters| counters.lost_disconnects == 1)
        .await;
    gateway.lose_disconnects(false);
    connect(&gateway).await.close(None).await.unwrap();
    let counters = gateway.wait_for(|counters| counters.disconnects == 1).await;
    assert_eq!(counters.lost_disconnects, 1);
    assert_eq!(counters.open_connections, 0);
    // The event of the second connection is the only one.
    let connected = function.event("$connect", 1).await;
    let disconnected = function.event("$disconnect", 0).await;
    let id = |event: &Value| event["requestContext"]["connectionId"].clone();
    assert_eq!(id(&disconnected), id(&connected));
}

#[tokio::test]
async fn failed_disconnect_event_has_no_effect() {
    let function = Function::new(|event| match crate::client::route(&event) {
        "$disconnect" => failure(),
        _ => crate::client::ok(),
    });
    let gateway = gateway(&function).await;
    connect(&gateway).await.close(None).await.unwrap();
    function.event("$disconnect", 0).await;
    let _socket = connect(&gateway).await;
    assert_eq!(gateway.open_connections(), 1);
}
