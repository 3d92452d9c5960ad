//! A connection that the REST client opens before its first request.
//!
//! latchkey can connect to the home while the token is still being read from the parameter store. The client connects
//! only for a request, so it gets a mock request. This layer rejects the mock request at once and keeps the connector's
//! future running in the background. The first real request takes the resulting connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use crate::base::lock::Lock;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Controls how the layer treats the next request.
#[derive(Clone, Debug, Default)]
pub(super) struct Trigger(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    armed: AtomicBool,
    is_void: AtomicBool,
}

impl Trigger {
    /// Marks the next request as the mock request.
    pub(super) fn arm(&self) {
        self.0.is_void.store(false, Ordering::Release);
        self.0.armed.store(true, Ordering::Release);
    }

    /// Ends the mock request.
    pub(super) fn disarm(&self) {
        self.0.armed.store(false, Ordering::Release);
    }

    /// Discards a connection that was opened in advance and not used yet, because it may stay idle for any time.
    pub(super) fn void(&self) {
        self.0.is_void.store(true, Ordering::Release);
    }
}

/// A connection that is being opened.
type Ahead<C> = Option<JoinHandle<Result<C, BoxError>>>;

/// The layer. `C` is the type of the connector's connections, which the client does not name.
pub(super) struct Preconnect<C> {
    trigger: Trigger,
    ahead: Arc<Lock<Ahead<C>>>,
}

impl<C> Preconnect<C> {
    pub(super) fn new(trigger: Trigger) -> Self {
        Self {
            trigger,
            ahead: Arc::default(),
        }
    }
}

impl<C> Clone for Preconnect<C> {
    fn clone(&self) -> Self {
        Self {
            trigger: self.trigger.clone(),
            ahead: self.ahead.clone(),
        }
    }
}

impl<S, C> Layer<S> for Preconnect<C> {
    type Service = PreconnectService<S, C>;

    fn layer(&self, connector: S) -> Self::Service {
        PreconnectService {
            connector,
            layer: self.clone(),
        }
    }
}

/// The connector inside the layer.
pub(super) struct PreconnectService<S, C> {
    connector: S,
    layer: Preconnect<C>,
}

impl<S: Clone, C> Clone for PreconnectService<S, C> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, R, C> Service<R> for PreconnectService<S, C>
where
    S: Service<R, Response = C, Error = BoxError>,
    S::Future: Send + 'static,
    C: Send + 'static,
{
    type Response = C;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut ahead = self.layer.ahead.lock();
        let flags = &self.layer.trigger.0;
        if flags.armed.swap(false, Ordering::AcqRel) {
            *ahead = Some(tokio::spawn(self.connector.call(request)));
            return Box::pin(std::future::ready(Err(
                "this request only opens a connection".into(),
            )));
        }
        match ahead
            .take()
            .filter(|_| !flags.is_void.load(Ordering::Acquire))
        {
            Some(connecting) => Box::pin(async move { connecting.await? }),
            None => Box::pin(self.connector.call(request)),
        }
    }
}
