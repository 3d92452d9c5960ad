//! The Lambda Runtime API: it receives invocations and sends replies. An internal extension runs between invocations.
//!
//! The extension keeps the delivery of metrics out of the response time. Lambda freezes an execution environment only
//! after the runtime and every extension have requested the next event. The extension therefore delivers metrics after
//! the response was posted and before it requests the next event.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use lambda_extension::{Extension, NextEvent, service_fn as extension_fn};
use lambda_runtime::tower::{Layer, Service};
use lambda_runtime::{
    BoxFuture, Error, LambdaEvent, LambdaInvocation, Runtime, SnapStartResource, service_fn,
};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::doors::function::Function;
use crate::service::app::App;

/// The name of the extension.
const EXTENSION: &str = "latchkey-metrics";

/// The time limit for delivering metrics when the execution environment shuts down. Lambda allows 500 ms in total.
const FLUSH_LIMIT_AT_SHUTDOWN: Duration = Duration::from_millis(400);

/// Serves invocations until the execution environment ends.
pub async fn run(
    function: Arc<Function>,
    warm_up_limit: Duration,
    is_concurrent: bool,
) -> Result<(), Error> {
    let app = function.app.clone();
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = function.clone();
        // Several layers move this future, so it is on the heap.
        Box::pin(async move {
            let (payload, context) = event.into_parts();
            let payload = match payload.get() {
                NOT_JSON => "not JSON",
                payload => payload,
            };
            Ok::<_, Error>(function.handle(payload, context).await)
        })
    });
    let runtime = Runtime::new(handler);
    if !runtime.is_snapstart() {
        // The warm-up runs in the background, and begins while the extension registers. The first invocation waits for
        // the parts that are not ready.
        tokio::spawn({
            let app = app.clone();
            async move { app.warm_up(warm_up_limit).await }
        });
    }
    let delivery = if is_concurrent {
        Delivery::Spawned
    } else {
        start_extension(app.clone()).await
    };
    flush_at_shutdown(app.clone())?;
    let answered = Answered {
        app: app.clone(),
        delivery,
    };
    runtime
        .layer(answered)
        .register_snapstart_resource(Arc::new(Snapshot { app, warm_up_limit }))
        .run_concurrent()
        .await
}

/// The work before and after a snapshot of this process.
struct Snapshot {
    app: Arc<App>,
    warm_up_limit: Duration,
}

impl SnapStartResource for Snapshot {
    fn before_snapshot(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.app.suspend().await;
            Ok(())
        })
    }

    fn after_restore(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            // Every generator in this process is a copy from the snapshot. Only the operating system has fresh
            // randomness.
            let seed = getrandom::u64()?;
            self.app.reseed(seed);
            // As during INIT, the warm-up runs in the background.
            let (app, limit) = (self.app.clone(), self.warm_up_limit);
            tokio::spawn(async move { app.warm_up(limit).await });
            Ok(())
        })
    }
}

/// The part that delivers metrics after a response was posted.
#[derive(Clone)]
enum Delivery {
    /// The extension, which gets one permit per response.
    Extension(Arc<Semaphore>),
    /// A task. An execution environment with many invocations at once is not frozen between them, and its extensions
    /// get no invocation events.
    Spawned,
    /// The runtime, before it requests the next event. Some emulators do not support extensions.
    Inline,
}

/// Registers the extension.
async fn start_extension(app: Arc<App>) -> Delivery {
    let answered = Arc::new(Semaphore::new(0));
    let permits = answered.clone();
    let deliver = extension_fn(move |event: lambda_extension::LambdaEvent| {
        let (app, permits) = (app.clone(), permits.clone());
        async move {
            if let NextEvent::Invoke(invocation) = event.next {
                // One permit for each posted answer.
                if let Ok(permit) = permits.acquire().await {
                    permit.forget();
                }
                app.after_answer(invocation.deadline_ms).await;
            }
            Ok::<_, Error>(())
        }
    });
    let extension = Extension::new()
        .with_extension_name(EXTENSION)
        .with_events(&["INVOKE"])
        .with_events_processor(deliver)
        .register()
        .await;
    match extension {
        Ok(extension) => {
            tokio::spawn(async move {
                let error = extension.run().await.err();
                // Lambda waits until every extension has requested the next event. Without this extension each
                // invocation would run into its timeout. The process therefore exits, and Lambda starts a new one.
                tracing::error!(category = "metrics", ?error, "the extension ended");
                std::process::exit(1);
            });
            Delivery::Extension(answered)
        }
        Err(error) => {
            tracing::warn!(
                category = "metrics",
                error = %error,
                "the extension is not registered: metrics are delivered between invocations"
            );
            Delivery::Inline
        }
    }
}

/// Delivers the remaining metrics when Lambda shuts down the execution environment.
fn flush_at_shutdown(app: Arc<App>) -> Result<(), Error> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        terminated.recv().await;
        app.flush_at_shutdown(FLUSH_LIMIT_AT_SHUTDOWN).await;
        std::process::exit(0);
    });
    Ok(())
}

/// Replaces a payload that is not JSON, because the runtime rejects such a payload. A JSON string is not a valid event
/// either.
const NOT_JSON: &str = "\"not JSON\"";

/// A layer that notifies the extension of each posted response. It also replaces a payload that is not JSON, so that
/// the payload gets the reply of every other bad payload.
#[derive(Clone)]
struct Answered {
    app: Arc<App>,
    delivery: Delivery,
}

impl<S> Layer<S> for Answered {
    type Service = AnsweredService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AnsweredService {
            inner,
            after: self.clone(),
        }
    }
}

#[derive(Clone)]
struct AnsweredService<S> {
    inner: S,
    after: Answered,
}

impl<S> Service<LambdaInvocation> for AnsweredService<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = BoxFuture<'static, Result<(), Error>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        if serde_json::from_slice::<&RawValue>(&invocation.body).is_err() {
            invocation.body = bytes::Bytes::from_static(NOT_JSON.as_bytes());
        }
        let after = self.after.clone();
        let deadline_ms = invocation.context.deadline;
        let answer = self.inner.call(invocation);
        Box::pin(async move {
            let posted = answer.await;
            match after.delivery {
                Delivery::Extension(permits) => permits.add_permits(1),
                Delivery::Spawned => {
                    tokio::spawn(async move { after.app.after_answer(deadline_ms).await });
                }
                Delivery::Inline => after.app.after_answer(deadline_ms).await,
            }
            posted
        })
    }
}
