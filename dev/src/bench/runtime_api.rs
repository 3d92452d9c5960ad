//! Lambda's Runtime API and Extensions API for one sandbox, as far as a function sees them.
//!
//! Unlike the Runtime Interface Emulator, which answers its caller only when the extensions are done too and runs one
//! invocation at a time, this server takes the time between handing an invocation out and receiving its response, as
//! Lambda's callers feel it. What it shares with Lambda: an invocation is handed out once the runtime and every
//! extension wait for it, and where invocations run side by side no extension may ask to be told of each.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::Error;

const RUNTIME: &str = "/2018-06-01/runtime/";
const EXTENSION: &str = "/2020-01-01/extension/";
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:latchkey";

/// Lambda's timeout of an invocation.
const TIMEOUT: Duration = Duration::from_secs(30);

type Body = Full<Bytes>;

/// The API of one sandbox. It runs on the tokio runtime it is started on and ends when dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// A function's response to one invocation.
#[derive(Debug)]
pub(super) struct Answer {
    /// What it responded, or its error document.
    pub(super) body: Bytes,
    /// When the invocation was handed to it.
    pub(super) handed_out: Instant,
    /// When the response had arrived.
    pub(super) answered: Instant,
}

impl Answer {
    /// From handing out the invocation to its response.
    pub(super) fn elapsed(&self) -> Duration {
        self.answered - self.handed_out
    }
}

impl RuntimeApi {
    /// Starts one for a sandbox that runs one invocation at a time, or several.
    pub(super) async fn start(is_concurrent: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            is_concurrent,
            state: Mutex::default(),
            first_asked: watch::Sender::new(None),
            changed: watch::Sender::new(()),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the runtime has asked for its first invocation, and says when it did.
    pub(super) async fn first_asked(&self) -> Instant {
        let mut first_asked = self.shared.first_asked.subscribe();
        if let Ok(asked) = first_asked.wait_for(Option::is_some).await
            && let Some(at) = *asked
        {
            return at;
        }
        // The sender lives in `self`, so the wait cannot fail; waiting is the honest answer.
        std::future::pending().await
    }

    /// Waits until the function has nothing to do: Lambda would freeze the sandbox.
    pub(super) async fn idle(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if self.shared.lock().is_idle() || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Runs one invocation, as soon as the function is ready for it.
    pub(super) async fn invoke(&self, payload: impl Into<Bytes>) -> Result<Answer, Error> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            state.invocations += 1;
            let id = format!("00000000-0000-4000-8000-{:012x}", state.invocations);
            state.queue.push_back(Invocation {
                id,
                payload: payload.into(),
                answer,
            });
        }
        self.shared.dispatch();
        match tokio::time::timeout(TIMEOUT, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Error::NoAnswer {
                seconds: TIMEOUT.as_secs(),
            }),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Debug)]
struct Shared {
    is_concurrent: bool,
    // A std mutex: nothing awaits while it is held.
    state: Mutex<State>,
    first_asked: watch::Sender<Option<Instant>>,
    /// Told whenever someone asks for the next event.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// How many there were so far.
    invocations: u64,
    queue: VecDeque<Invocation>,
    /// Handed out and not answered, by id.
    running: HashMap<String, Running>,
    /// Runtimes that wait for an invocation.
    runtimes: VecDeque<oneshot::Sender<Invocation>>,
    /// How many extensions want to be told of invocations.
    extensions: usize,
    /// Those that wait for the next event.
    idle_extensions: Vec<oneshot::Sender<String>>,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    payload: Bytes,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
struct Running {
    handed_out: Instant,
    answer: oneshot::Sender<Answer>,
}

impl State {
    fn are_extensions_idle(&self) -> bool {
        self.idle_extensions.len() >= self.extensions
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.running.is_empty()
            && !self.runtimes.is_empty()
            && self.are_extensions_idle()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out whatever can be handed out now.
    fn dispatch(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        while !state.queue.is_empty() && state.are_extensions_idle() {
            let Some(runtime) = state.runtimes.pop_front() else {
                return;
            };
            if runtime.is_closed() {
                continue;
            }
            let Some(invocation) = state.queue.pop_front() else {
                return;
            };
            let event = json!({
                "eventType": "INVOKE",
                "deadlineMs": deadline_ms(),
                "requestId": invocation.id,
                "invokedFunctionArn": FUNCTION_ARN,
                "tracing": {"type": "X-Amzn-Trace-Id", "value": ""},
            })
            .to_string();
            for extension in state.idle_extensions.drain(..) {
                // One that hung up needs no event.
                let _ = extension.send(event.clone());
            }
            if let Err(invocation) = runtime.send(invocation) {
                state.queue.push_front(invocation);
            }
        }
    }

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
        // Whoever asked may have lost patience.
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
                "errorMessage": "INVOKE is not supported where invocations run concurrently",
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

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
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
    // Best effort: it only costs latency when refused.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move {
            let response = shared.route(request).await;
            let unknown = || respond(StatusCode::NOT_FOUND, "");
            Ok::<_, Infallible>(response.unwrap_or_else(unknown))
        }
    });
    // How a connection ends is the function's business.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn respond(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

fn deadline_ms() -> u64 {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from((unix + TIMEOUT).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
