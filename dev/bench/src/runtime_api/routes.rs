//! The HTTP server and its routes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::state::{Answer, FUNCTION_ARN, Invocation, Running, Shared, deadline_ms};

/// The path of the Runtime API.
pub(super) const RUNTIME: &str = "/2018-06-01/runtime/";
/// The path of the Extensions API.
pub(super) const EXTENSION: &str = "/2020-01-01/extension/";

type Body = Full<Bytes>;

impl Shared {
    async fn next_invocation(&self) -> Option<Response<Body>> {
        let (runtime, handed) = oneshot::channel();
        self.first_asked
            .send_if_modified(|at| at.is_none() && at.replace(Instant::now()).is_none());
        self.lock().runtimes.push_back(runtime);
        self.dispatch();
        self.changed.send_replace(());
        let Invocation {
            id,
            payload,
            answer,
        } = handed.await.ok()?;
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &id)
            .header("lambda-runtime-deadline-ms", deadline_ms())
            .header("lambda-runtime-invoked-function-arn", FUNCTION_ARN)
            .header("lambda-runtime-trace-id", "Root=1-0-0;Sampled=0")
            .body(Full::new(payload))
            .ok()?;
        let handed_out = Instant::now();
        self.lock()
            .running
            .insert(id, Running { handed_out, answer });
        Some(response)
    }

    fn answered(&self, id: &str, body: Bytes) -> StatusCode {
        let answered = Instant::now();
        let Some(running) = self.lock().running.remove(id) else {
            return StatusCode::BAD_REQUEST;
        };
        // An error means that the caller no longer waits.
        let _ = running.answer.send(Answer {
            body,
            handed_out: running.handed_out,
            answered,
        });
        StatusCode::ACCEPTED
    }

    fn register(&self, body: &[u8]) -> Option<Response<Body>> {
        let registration: Value = serde_json::from_slice(body).ok()?;
        let wants_invocations = registration["events"]
            .as_array()
            .is_some_and(|events| events.iter().any(|event| event == "INVOKE"));
        if wants_invocations && self.is_concurrent {
            let refusal = json!({
                "errorType": "Extension.InvalidEventType",
                "errorMessage": "INVOKE is not supported with concurrent invocations",
            });
            return Some(respond(StatusCode::BAD_REQUEST, refusal.to_string()));
        }
        self.lock().extensions += usize::from(wants_invocations);
        let function = json!({
            "functionName": "latchkey",
            "functionVersion": "$LATEST",
            "handler": "bootstrap",
        });
        Response::builder()
            .header(
                "lambda-extension-identifier",
                "00000000-0000-4000-8000-000000000000",
            )
            .body(Full::from(function.to_string()))
            .ok()
    }

    async fn next_event(&self) -> Option<Response<Body>> {
        let (extension, event) = oneshot::channel();
        self.lock().idle_extensions.push(extension);
        self.dispatch();
        self.changed.send_replace(());
        Some(respond(StatusCode::OK, event.await.ok()?))
    }

    async fn route(&self, request: Request<Incoming>) -> Option<Response<Body>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let path = parts.uri.path();
        if let Some(call) = path.strip_prefix(EXTENSION) {
            return match (parts.method, call) {
                (Method::POST, "register") => self.register(&body),
                (Method::GET, "event/next") => self.next_event().await,
                _ => None,
            };
        }
        match (parts.method, path.strip_prefix(RUNTIME)?) {
            (Method::GET, "invocation/next") => self.next_invocation().await,
            (Method::POST, call) => {
                let (id, _) = call.strip_prefix("invocation/")?.split_once('/')?;
                Some(respond(self.answered(id, body), ""))
            }
            _ => None,
        }
    }
}

/// Accepts connections and serves them.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(connection(stream, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Best effort: without this option, latency is higher.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move {
            let response = shared.route(request).await;
            let unknown = || respond(StatusCode::NOT_FOUND, "");
            Ok::<_, Infallible>(response.unwrap_or_else(unknown))
        }
    });
    // An error means that the function closed the connection.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn respond(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
