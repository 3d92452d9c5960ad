//! A connection for the REST client made ahead of its first request.
//!
//! While the token is still on its way from the parameter store, the home could already be connected to. The client
//! connects only for a request, so a mock one is made that this layer turns away at once, having kept its connector's
//! future running in the background; the first real request takes what that yields.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use crate::base::lock::Lock;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Tells the layer what to do with the next request.
#[derive(Clone, Debug, Default)]
pub(super) struct Trigger(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    armed: AtomicBool,
    is_void: AtomicBool,
}

impl Trigger {
    /// The next request is the mock one.
    pub(super) fn arm(&self) {
        self.0.is_void.store(false, Ordering::Release);
        self.0.armed.store(true, Ordering::Release);
    }

    /// The mock one is over.
    pub(super) fn disarm(&self) {
        self.0.armed.store(false, Ordering::Release);
    }

    /// A connection made ahead and not taken by now is not to be used: nobody knows how long it will lie there.
    pub(super) fn void(&self) {
        self.0.is_void.store(true, Ordering::Release);
    }
}

/// A connection under way.
type Ahead<C> = Option<JoinHandle<Result<C, BoxError>>>;

/// The layer; `C` is the connector's connection, which the client does not name.
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

/// The connector with the layer around it.
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
            return Box::pin(std::future::ready(Err("connecting ahead".into())));
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
