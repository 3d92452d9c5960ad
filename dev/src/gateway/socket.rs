//! An open WebSocket: messages, limits and the end.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    sync::mpsc::UnboundedReceiver,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    connection::{Connection, Order},
    ending::{By, Ending},
    event::{self, Content, Event},
    invocation::{Failure, invoke},
    shared::Shared,
};
use crate::lock::locked;

/// The largest message in either direction.
pub(super) const MAX_MESSAGE_BYTES: usize = 128 << 10;
/// The largest frame of a client. A larger message must consist of several frames.
const MAX_FRAME_BYTES: usize = 32 << 10;
/// The time limit for the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// Runs a WebSocket until it ends.
pub(super) async fn run(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    upgrade: OnUpgrade,
    mut orders: UnboundedReceiver<Order>,
) {
    let Ok(upgraded) = upgrade.await else {
        return disconnect(&shared, &connection, &Ending::broken());
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let io = TokioIo::new(upgraded);
    let mut stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let ending = converse(&shared, &connection, &mut stream, &mut orders).await;
    disconnect(&shared, &connection, &ending);
    if ending.by != By::Network {
        // An error means that the client is gone, or does not complete the closing handshake.
        let _ = timeout(CLOSE_TIMEOUT, close(stream, &ending)).await;
    }
}

/// Passes messages in both directions until the WebSocket must end.
async fn converse(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    stream: &mut Stream,
    orders: &mut UnboundedReceiver<Order>,
) -> Ending {
    loop {
        let deadline = connection.deadline(&shared.options);
        tokio::select! {
            received = stream.next() => {
                connection.touch(&shared.clock);
                let content = match received {
                    Some(Ok(Message::Text(text))) => Content::Text(text.as_str().to_owned()),
                    Some(Ok(Message::Binary(bytes))) => Content::Binary(bytes),
                    Some(Ok(Message::Close(frame))) => return Ending::by_client(frame),
                    Some(Ok(Message::Ping(_))) => {
                        // Sends the pong now; otherwise it would wait for the next message.
                        if stream.flush().await.is_err() {
                            return Ending::broken();
                        }
                        continue;
                    }
                    Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Err(error)) => return Ending::by_error(&error),
                    None => return Ending::broken(),
                };
                receive(shared, connection, content);
            }
            Some(order) = orders.recv() => match order {
                Order::Send(message) => {
                    connection.touch(&shared.clock);
                    // A client that does not read can block this until the deadline.
                    tokio::select! {
                        sent = stream.send(message) => if sent.is_err() {
                            return Ending::broken();
                        },
                        () = shared.clock.sleep_until(connection.deadline(&shared.options)) => {
                            return Ending::expired();
                        }
                    }
                }
                Order::Close => return Ending::deleted(),
            },
            () = shared.clock.sleep_until(deadline) => return Ending::expired(),
        }
    }
}

/// Invokes the function with a message, in a task of its own.
fn receive(shared: &Arc<Shared>, connection: &Arc<Connection>, content: Content) {
    shared.count(|counters| counters.messages += 1);
    let event = event::message(shared, connection, content);
    let (invoking, connection) = (Arc::clone(shared), Arc::clone(connection));
    shared.tasks.spawn(async move {
        if let Some(text) = reply(&invoking, &connection, event).await {
            connection.order(Order::Send(Message::text(text)));
        }
    });
}

/// Invokes the function with a message. Returns the frame for the client: the route response, an error, or `None`.
async fn reply(shared: &Shared, connection: &Connection, event: Event) -> Option<String> {
    let Event { request_id, value } = event;
    let failure = match invoke(shared, value).await {
        Ok(answer) if answer.status >= 400 || answer.body.len() > MAX_MESSAGE_BYTES => {
            Failure::Failed
        }
        Ok(answer) => return Some(answer.body).filter(|body| !body.is_empty()),
        Err(failure) => failure,
    };
    let (message, id) = (failure.message(), &connection.id);
    Some(format!(
        r#"{{"message": "{message}", "connectionId":"{id}", "requestId":"{request_id}"}}"#
    ))
}

/// Removes a connection and invokes the function with `$disconnect`.
fn disconnect(shared: &Arc<Shared>, connection: &Connection, ending: &Ending) {
    shared.remove(&connection.id);
    shared.count(|counters| counters.ended += 1);
    if locked(&shared.faults).loses_disconnects {
        shared.count(|counters| counters.lost_disconnects += 1);
        return;
    }
    shared.count(|counters| counters.disconnects += 1);
    let event = event::disconnect(shared, connection, ending);
    let invoking = Arc::clone(shared);
    shared.tasks.spawn(async move {
        // API Gateway ignores the answer.
        let _ = invoke(&invoking, event.value).await;
    });
}

/// Completes the closing handshake.
async fn close(mut stream: Stream, ending: &Ending) -> Result<(), Error> {
    if ending.by == By::Gateway {
        stream
            .send(Message::Close(Some(ending.close_frame())))
            .await?;
    }
    while let Some(message) = stream.next().await {
        message?;
    }
    // Reads the rest of a message that is too large, because closing with unread bytes would reset the connection, and
    // the client would lose the close frame.
    let mut io = stream.into_inner();
    io.shutdown().await?;
    copy(&mut io, &mut sink()).await?;
    Ok(())
}
