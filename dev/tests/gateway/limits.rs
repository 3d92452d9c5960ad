//! The limits for sizes and times.

use std::time::Duration;

use futures_util::SinkExt;
use latchkey_dev::gateway::{GatewayOptions, WebSocketGateway};
use reqwest::Method;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{
    Function, Socket, close_code, close_frame, connect, gateway, manage, next, only_id, post, send,
    send_frames, text,
};

const KIB: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(600);
const LIFETIME: Duration = Duration::from_secs(7200);

#[tokio::test]
async fn frame_may_have_32_kib() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    send_frames(&mut socket, &[32 * KIB]).await;
    let event = function.event("$default", 0).await;
    assert_eq!(event["body"].as_str().unwrap().len(), 32 * KIB);

    send_frames(&mut socket, &[32 * KIB + 1]).await;
    assert_eq!(close_code(&mut socket).await, 1009);
    let event = function.event("$disconnect", 0).await;
    assert_eq!(event["requestContext"]["disconnectStatusCode"], 1009);
    assert_eq!(gateway.counters().messages, 1);
}

#[tokio::test]
async fn message_may_have_128_kib_in_several_frames() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    send_frames(&mut socket, &[32 * KIB; 4]).await;
    let event = function.event("$default", 0).await;
    assert_eq!(event["body"].as_str().unwrap().len(), 128 * KIB);

    let frames = [32 * KIB, 32 * KIB, 32 * KIB, 32 * KIB, 1];
    send_frames(&mut socket, &frames).await;
    assert_eq!(close_code(&mut socket).await, 1009);
    assert_eq!(gateway.counters().messages, 1);
}

#[tokio::test]
async fn large_frame_is_refused_before_it_is_read() {
    let gateway = gateway(&Function::silent()).await;
    let mut socket = connect(&gateway).await;
    // The close frame arrives, although the client still sends.
    send_frames(&mut socket, &[8 * KIB * KIB]).await;
    assert_eq!(close_code(&mut socket).await, 1009);
}

/// Expects the end because of a time limit.
async fn expect_expiry(gateway: &WebSocketGateway, function: &Function, socket: &mut Socket) {
    let frame = close_frame(socket).await;
    assert_eq!(
        (frame.code.into(), frame.reason.as_str()),
        (1001, "Going away")
    );
    let event = function.event("$disconnect", 0).await;
    let context = &event["requestContext"];
    assert_eq!(context["disconnectStatusCode"], 1001);
    assert_eq!(context["disconnectReason"], "Going away");
    assert_eq!(gateway.open_connections(), 0);
}

#[tokio::test]
async fn default_time_limits_are_those_of_aws() {
    let options = GatewayOptions::default();
    assert_eq!((options.idle, options.lifetime), (IDLE, LIFETIME));
}

#[tokio::test]
async fn idle_connection_is_closed_after_10_minutes() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    gateway.advance(IDLE - 30 * SECOND);
    // The post shows that the connection is open, and is itself activity.
    let id = only_id(&gateway);
    assert_eq!(post(&gateway, &id, "here").await.0, 200);
    assert_eq!(text(&mut socket).await, "here");
    gateway.advance(IDLE);
    expect_expiry(&gateway, &function, &mut socket).await;
    assert_eq!(post(&gateway, &id, "gone").await.0, 410);
}

#[tokio::test]
async fn frames_in_either_direction_count_as_activity() {
    let function = Function::echo();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    for _ in 0..3 {
        gateway.advance(IDLE - 30 * SECOND);
        socket.send(Message::Ping("".into())).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::Pong("".into()));

        gateway.advance(IDLE - 30 * SECOND);
        send(&mut socket, "hello").await;
        assert_eq!(text(&mut socket).await, "hello");

        gateway.advance(IDLE - 30 * SECOND);
        assert_eq!(post(&gateway, &only_id(&gateway), "post").await.0, 200);
        assert_eq!(text(&mut socket).await, "post");
    }
    // A GET request does not count as activity.
    gateway.advance(IDLE - 30 * SECOND);
    let id = only_id(&gateway);
    let response = manage(&gateway, Method::GET, &id, "").await;
    assert_eq!(response.status(), 200);
    gateway.advance(30 * SECOND);
    expect_expiry(&gateway, &function, &mut socket).await;
}

#[tokio::test]
async fn connection_is_closed_after_two_hours() {
    let function = Function::silent();
    let gateway = gateway(&function).await;
    let mut socket = connect(&gateway).await;
    let step = 500 * SECOND;
    for _ in 0..LIFETIME.as_secs() / step.as_secs() {
        gateway.advance(step);
        socket.send(Message::Ping("".into())).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::Pong("".into()));
    }
    // The steps have left 200 s of the lifetime.
    gateway.advance(LIFETIME - 14 * step);
    expect_expiry(&gateway, &function, &mut socket).await;
}
