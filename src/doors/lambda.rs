//! Under the Lambda Runtime API: invocations in, replies out, and an internal extension that works between them.
//!
//! The extension is what keeps metrics off the caller's path: Lambda freezes a sandbox only when the runtime and every
//! extension have asked for the next event, so the extension delivers metrics after the response was posted and before
//! it asks.

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

/// The name the extension registers under.
const EXTENSION: &str = "latchkey-metrics";

/// Serves invocations until the sandbox ends.
pub async fn run(
    function: Arc<Function>,
    warm_up_limit: Duration,
    is_concurrent: bool,
) -> Result<(), Error> {
    let app = function.app.clone();
    let delivery = if is_concurrent {
        Delivery::Spawned
    } else {
        start_extension(app.clone()).await
    };
    flush_at_shutdown(app.clone())?;
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = function.clone();
        async move {
            let (payload, context) = event.into_parts();
            let payload = match payload.get() {
                NOT_JSON => "not JSON",
                payload => payload,
            };
            Ok::<_, Error>(function.handle(payload, context).await)
        }
    });
    let answered = Answered {
        app: app.clone(),
        delivery,
    };
    let runtime = Runtime::new(handler).layer(answered);
    if !runtime.is_snapstart() {
        // Nobody waits for this; what is not ready when the first invocation comes is awaited there.
        tokio::spawn({
            let app = app.clone();
            async move { app.warm_up(warm_up_limit).await }
        });
    }
    runtime
        .register_snapstart_resource(Arc::new(Snapshot { app, warm_up_limit }))
        .run_concurrent()
        .await
}

/// What is done around a snapshot of this process.
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
            // Every generator in this process is a copy of the snapshot's: only the system has fresh randomness.
            let seed = getrandom::u64()?;
            self.app.reseed(seed);
            // As in INIT: nobody waits for it.
            let (app, limit) = (self.app.clone(), self.warm_up_limit);
            tokio::spawn(async move { app.warm_up(limit).await });
            Ok(())
        })
    }
}

/// Who delivers metrics once an answer was posted.
#[derive(Clone)]
enum Delivery {
    /// The extension, told by one permit an answer.
    Extension(Arc<Semaphore>),
    /// A task: a sandbox that serves many invocations at once is not frozen between them, and no extension is told of
    /// them.
    Spawned,
    /// The runtime, before it asks for the next event: some emulators have no extensions.
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
                // Lambda waits for every extension to ask for the next event. Without this one each invocation would
                // run into its timeout, so the sandbox is given up, and the next one starts afresh.
                tracing::error!(category = "metrics", ?error, "the extension ended");
                std::process::exit(1);
            });
            Delivery::Extension(answered)
        }
        Err(error) => {
            tracing::warn!(category = "metrics", error = %error, "no extension: metrics go out between invocations");
            Delivery::Inline
        }
    }
}

/// Delivers what is left when the sandbox is taken down.
fn flush_at_shutdown(app: Arc<App>) -> Result<(), Error> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        terminated.recv().await;
        app.flush_at_shutdown().await;
        std::process::exit(0);
    });
    Ok(())
}

/// Stands in for a payload that is no JSON, which the runtime would not hand on: a JSON string is no event either.
const NOT_JSON: &str = "\"not JSON\"";

/// Tells the extension of each answer, once it was posted; and lets what is no JSON through as something that is, so
/// that it is answered like any other bad payload.
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
