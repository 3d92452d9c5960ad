//! The queue of invocations, and the runtimes and extensions that wait for them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::{oneshot, watch};

/// The ARN of the function.
pub(super) const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:latchkey";

/// The timeout of an invocation.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The response to an invocation.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The response, or the error document.
    pub(crate) body: Bytes,
    /// The time when the function got the invocation.
    pub(crate) handed_out: Instant,
    /// The time when the response had arrived.
    pub(crate) answered: Instant,
}

impl Answer {
    /// Returns the time from the invocation to its response.
    pub(crate) fn elapsed(&self) -> Duration {
        self.answered - self.handed_out
    }
}

/// The state that all connections share. The mutex is a std mutex: no lock is held across an await.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) is_concurrent: bool,
    state: Mutex<State>,
    /// The time of the runtime's first request for an invocation.
    pub(super) first_asked: watch::Sender<Option<Instant>>,
    /// Signals every request for a next event.
    pub(super) changed: watch::Sender<()>,
}

/// The invocations, runtimes and extensions.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The number of invocations so far.
    invocations: u64,
    /// Invocations that have not started.
    queue: VecDeque<Invocation>,
    /// Invocations in progress, by id.
    pub(super) running: HashMap<String, Running>,
    /// Runtimes that wait for an invocation.
    pub(super) runtimes: VecDeque<oneshot::Sender<Invocation>>,
    /// The number of extensions that are registered for invocations.
    pub(super) extensions: usize,
    /// Extensions that wait for the next event.
    pub(super) idle_extensions: Vec<oneshot::Sender<String>>,
}

/// An invocation that has not started.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// An invocation in progress.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) handed_out: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
}

impl State {
    fn are_extensions_idle(&self) -> bool {
        self.idle_extensions.len() >= self.extensions
    }

    /// Returns true if the runtime and all extensions wait for an invocation.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.running.is_empty()
            && !self.runtimes.is_empty()
            && self.are_extensions_idle()
    }
}

impl Shared {
    /// Creates an empty queue.
    pub(super) fn new(is_concurrent: bool) -> Self {
        Self {
            is_concurrent,
            state: Mutex::default(),
            first_asked: watch::Sender::new(None),
            changed: watch::Sender::new(()),
        }
    }

    /// Locks the state.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent at any time, also after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an invocation. Returns the receiver of its response.
    pub(super) fn enqueue(&self, payload: Bytes) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.lock();
            state.invocations += 1;
            let id = format!("00000000-0000-4000-8000-{:012x}", state.invocations);
            state.queue.push_back(Invocation {
                id,
                payload,
                answer,
            });
        }
        self.dispatch();
        answered
    }

    /// Starts queued invocations for which a runtime waits.
    pub(super) fn dispatch(&self) {
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
                // An error means that the extension closed its connection.
                let _ = extension.send(event.clone());
            }
            if let Err(invocation) = runtime.send(invocation) {
                state.queue.push_front(invocation);
            }
        }
    }
}

/// Returns the deadline of an invocation that starts now, in milliseconds since 1970.
pub(super) fn deadline_ms() -> u64 {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from((unix + TIMEOUT).as_millis()).unwrap_or(u64::MAX)
}
