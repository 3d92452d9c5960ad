//! The way back to connections: posts frames and closes connections.

mod api_gateway;

pub use api_gateway::ApiGateway;
use aws_config::SdkConfig;
use futures_util::future::BoxFuture;

use super::connection::Address;

/// The reason why a frame did not reach its connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The connection does not exist any more.
    #[error("the connection is gone")]
    Gone,
    /// API Gateway accepts no more requests at the moment.
    #[error("API Gateway throttles the requests of this account")]
    Throttled,
    /// The request failed for another reason.
    #[error("API Gateway did not accept the request ({0})")]
    Failed(String),
}

/// Loads the settings of the AWS SDK. They are loaded at the first use, because a function without WebSocket
/// connections does not need them.
pub type SdkSettings = std::sync::Arc<dyn Fn() -> BoxFuture<'static, SdkConfig> + Send + Sync>;

/// Posts frames to connections.
pub trait Gateway: Send + Sync {
    /// Returns the base URL of the management API for connections of this API and stage. `domain` is the host to which
    /// the client has connected.
    fn endpoint<'a>(
        &'a self,
        domain: &'a str,
        api: &'a str,
        stage: &'a str,
    ) -> BoxFuture<'a, String>;

    /// Posts one frame of at most 128 KB to a connection.
    fn post<'a>(&'a self, to: &'a Address, frame: String) -> BoxFuture<'a, Result<(), PostError>>;

    /// Returns true if a connection is open.
    fn is_open<'a>(&'a self, connection: &'a Address) -> BoxFuture<'a, Result<bool, PostError>>;

    /// Closes a connection. The client cannot see a reason.
    fn close<'a>(&'a self, connection: &'a Address) -> BoxFuture<'a, Result<(), PostError>>;
}
