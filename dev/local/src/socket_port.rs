//! latchkey's WebSocket API on a local port: a local API Gateway, and the queue of deadlines.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use lambda_runtime::Context;
use latchkey::doors::function::Function;
use latchkey_dev::gateway::{GatewayOptions, Invoke, WebSocketGateway};
use latchkey_dev::stack::{AwsEmulator, QueuePoller};
use serde_json::Value;

/// The timeout of an invocation.
const TIMEOUT: Duration = Duration::from_secs(28);

/// The function of this process, behind a gateway.
struct Local(Arc<Function>);

impl Invoke for Local {
    fn invoke(&self, event: Value) -> BoxFuture<'static, Result<Value, String>> {
        let function = self.0.clone();
        Box::pin(async move {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let end = now.unwrap_or_default() + TIMEOUT;
            let mut context = Context::default();
            context.request_id = format!("{:016x}", fastrand::u64(..));
            context.deadline = u64::try_from(end.as_millis()).unwrap_or(u64::MAX);
            let deadline = context.deadline;
            let reply = function.handle(&event.to_string(), context).await;
            let reply = serde_json::to_value(reply).map_err(|error| error.to_string());
            // In Lambda, the extension does this after the response.
            tokio::spawn(async move { function.app.after_answer(deadline).await });
            reply
        })
    }
}

/// A local port for WebSocket clients. It is open until it is dropped.
#[derive(Debug)]
pub struct SocketPort {
    gateway: WebSocketGateway,
    _deadlines: QueuePoller,
}

impl SocketPort {
    /// Opens a port that the system chooses. `queue` is the queue of deadlines.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn open(
        function: Arc<Function>,
        aws: &AwsEmulator,
        queue: String,
    ) -> std::io::Result<Self> {
        let function: Arc<dyn Invoke> = Arc::new(Local(function));
        let options = GatewayOptions::default().any_path();
        let gateway = WebSocketGateway::start(options, function.clone()).await?;
        Ok(Self {
            gateway,
            _deadlines: QueuePoller::start(aws, queue, function),
        })
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> String {
        self.gateway.url()
    }
}
