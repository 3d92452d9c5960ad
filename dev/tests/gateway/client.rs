//! A client of the gateway, and a function that records its events.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use http::HeaderValue;
use latchkey_dev::{
    gateway::{GatewayOptions, Invoke, WebSocketGateway},
    stack::http_client,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::watch};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Response,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

pub(crate) type Socket = WebSocketStream<TcpStream>;
pub(crate) type Answer = BoxFuture<'static, Result<Value, String>>;

/// A time limit that only a hanging test reaches.
pub(crate) const ANY_TIME: Duration = Duration::from_secs(30);
/// Signed requests have this header. The gateway does not check the signature itself.
pub(crate) const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=key/20240524/eu-central-1/execute-api/aws4_request, \
    SignedHeaders=host, Signature=0";

type Script = Box<dyn Fn(Value) -> Answer + Send + Sync>;

/// A function that records its events and answers as its script says.
pub(crate) struct Function {
    events: watch::Sender<Vec<Value>>,
    script: Script,
}

impl Function {
    pub(crate) fn new(script: impl Fn(Value) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            events: watch::Sender::default(),
            script: Box::new(script),
        })
    }

    /// Creates a function that accepts all clients. The script answers messages.
    pub(crate) fn on_message(
        script: impl Fn(Value) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(move |event| match route(&event) {
            "$default" => script(event),
            _ => ok(),
        })
    }

    /// Creates a function that accepts all clients and sends no replies.
    pub(crate) fn silent() -> Arc<Self> {
        Self::on_message(|_| ok())
    }

    /// Creates a function that accepts all clients and sends each message back.
    pub(crate) fn echo() -> Arc<Self> {
        Self::on_message(|event| body(&event["body"]))
    }

    /// Returns all events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.borrow().clone()
    }

    /// Waits for an event of a route. `index` is 0 for the first one.
    pub(crate) async fn event(&self, wanted: &str, index: usize) -> Value {
        let mut events = self.events.subscribe();
        let nth = |events: &Vec<Value>| {
            let mut events = events.iter().filter(|event| route(event) == wanted);
            events.nth(index).cloned()
        };
        let found = events.wait_for(|events| nth(events).is_some());
        let events = tokio::time::timeout(ANY_TIME, found).await.unwrap();
        nth(&events.unwrap()).unwrap()
    }
}

impl Invoke for Function {
    fn invoke(&self, event: Value) -> Answer {
        self.events.send_modify(|events| events.push(event.clone()));
        (self.script)(event)
    }
}

pub(crate) fn route(event: &Value) -> &str {
    event["requestContext"]["routeKey"].as_str().unwrap()
}

/// Returns an answer at once.
pub(crate) fn answer(answer: Value) -> Answer {
    Box::pin(async { Ok(answer) })
}

pub(crate) fn ok() -> Answer {
    answer(json!({"statusCode": 200}))
}

pub(crate) fn body(body: &Value) -> Answer {
    answer(json!({"statusCode": 200, "body": body}))
}

pub(crate) fn failure() -> Answer {
    Box::pin(async { Err("the function failed".to_owned()) })
}

/// Starts a gateway with the default options.
pub(crate) async fn gateway(function: &Arc<Function>) -> WebSocketGateway {
    start(GatewayOptions::default(), function).await
}

pub(crate) async fn start(options: GatewayOptions, function: &Arc<Function>) -> WebSocketGateway {
    let gateway = WebSocketGateway::start(options, function.clone()).await;
    gateway.unwrap()
}

/// Opens a WebSocket at the URL of the gateway.
pub(crate) async fn connect(gateway: &WebSocketGateway) -> Socket {
    open(gateway, &gateway.url(), &[]).await.unwrap().0
}

/// Opens a WebSocket with a URL and with headers.
pub(crate) async fn open(
    gateway: &WebSocketGateway,
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Response), Error> {
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, HeaderValue::from_str(value)?);
    }
    let tcp = TcpStream::connect(gateway.address()).await?;
    client_async(request, tcp).await
}

/// Returns the status of a handshake that the gateway must refuse.
pub(crate) async fn refusal(gateway: &WebSocketGateway, url: &str) -> u16 {
    match open(gateway, url, &[]).await.unwrap_err() {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    }
}

/// Returns the next message.
pub(crate) async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(ANY_TIME, socket.next()).await;
    message.unwrap().unwrap().unwrap()
}

/// Returns the next message, which must be text.
pub(crate) async fn text(socket: &mut Socket) -> String {
    match next(socket).await {
        Message::Text(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Returns the close frame of the gateway, which must come next.
pub(crate) async fn close_frame(socket: &mut Socket) -> CloseFrame {
    match next(socket).await {
        Message::Close(Some(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

/// Returns the code of the gateway's close frame, which must come next.
pub(crate) async fn close_code(socket: &mut Socket) -> u16 {
    close_frame(socket).await.code.into()
}

pub(crate) async fn send(socket: &mut Socket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.unwrap();
}

/// Sends a text message that consists of frames of these sizes.
pub(crate) async fn send_frames(socket: &mut Socket, sizes: &[usize]) {
    for (index, size) in sizes.iter().enumerate() {
        let kind = match index {
            0 => Data::Text,
            _ => Data::Continue,
        };
        let is_last = index + 1 == sizes.len();
        let frame = Frame::message(vec![b'x'; *size], OpCode::Data(kind), is_last);
        // An error means that the gateway has closed the connection.
        let _ = socket.send(Message::Frame(frame)).await;
    }
}

/// Returns the id of the only open connection.
pub(crate) fn only_id(gateway: &WebSocketGateway) -> String {
    let [id]: [String; 1] = gateway.connections().try_into().unwrap();
    id
}

/// Sends a signed request to the management API. The id is percent-encoded, as by an SDK.
pub(crate) async fn manage(
    gateway: &WebSocketGateway,
    method: Method,
    id: &str,
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let id = id.replace('=', "%3D");
    let url = format!("{}/@connections/{id}", gateway.management_url());
    let request = http_client().unwrap().request(method, url).body(body);
    let request = request.header("authorization", SIGNATURE);
    request.send().await.unwrap()
}

/// Posts a frame. Returns the status and the name of the error, which is empty for 200.
pub(crate) async fn post(
    gateway: &WebSocketGateway,
    id: &str,
    body: impl Into<reqwest::Body>,
) -> (u16, String) {
    let response = manage(gateway, Method::POST, id, body).await;
    let name = response.headers().get("x-amzn-errortype");
    let name = name.map(|name| name.to_str().unwrap().to_owned());
    (response.status().as_u16(), name.unwrap_or_default())
}
